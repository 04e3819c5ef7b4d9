// TIFF by libtiff: the first page. libtiff undoes the compression; what the samples mean is decided
// here, as Pillow does: grey of 1 to 16 bits, RGB, palette and CMYK, in strips or tiles, with the
// samples of a pixel together or in planes. 16-bit values keep the high byte.
#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "image/decoder.h"

namespace fastvlm {
namespace {

constexpr int kMaxSamples = 8;
// Of one allocation of libtiff, beside the size of the file: its directory and its codecs' tables.
constexpr tmsize_t kMaxLibtiffBytes = tmsize_t{64} << 20;

// What libtiff reads, and what it said last.
struct TiffInput {
  std::span<const uint8_t> bytes;
  uint64_t position = 0;
  std::array<char, 256> message = {};
  bool palette_lost = false;
};

tmsize_t ReadTiff(thandle_t handle, void* target, tmsize_t size) {
  TiffInput& input = *static_cast<TiffInput*>(handle);
  if (size < 0 || input.position >= input.bytes.size()) return 0;
  const size_t count =
      std::min(static_cast<size_t>(size), input.bytes.size() - static_cast<size_t>(input.position));
  std::memcpy(target, input.bytes.data() + input.position, count);
  input.position += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t WriteTiff(thandle_t, void*, tmsize_t) { return 0; }

toff_t SeekTiff(thandle_t handle, toff_t offset, int whence) {
  TiffInput& input = *static_cast<TiffInput*>(handle);
  if (whence == SEEK_CUR) offset += input.position;
  if (whence == SEEK_END) offset += input.bytes.size();
  return input.position = offset;
}

int CloseTiff(thandle_t) { return 0; }

toff_t SizeOfTiff(thandle_t handle) { return static_cast<TiffInput*>(handle)->bytes.size(); }

// libtiff does not write what it maps.
int MapTiff(thandle_t handle, void** base, toff_t* size) {
  const TiffInput& input = *static_cast<TiffInput*>(handle);
  *base = const_cast<uint8_t*>(input.bytes.data());
  *size = input.bytes.size();
  return 1;
}

void UnmapTiff(thandle_t, void*, toff_t) {}

// 1: libtiff shall not print it. It goes through C, so nothing may be thrown.
int OnTiffError(TIFF*, void* input, const char*, const char* format, va_list arguments) {
  auto& message = static_cast<TiffInput*>(input)->message;
  std::vsnprintf(message.data(), message.size(), format, arguments);
  return 1;
}

// Where a palette cannot be read, libtiff takes its indices for grey and says so only here.
int OnTiffWarning(TIFF*, void* handle, const char*, const char* format, va_list arguments) {
  std::array<char, 256> message = {};
  std::vsnprintf(message.data(), message.size(), format, arguments);
  TiffInput& input = *static_cast<TiffInput*>(handle);
  input.palette_lost |= std::strstr(message.data(), "ColorMap") != nullptr;
  return 1;
}

struct TiffCloser {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using TiffFile = std::unique_ptr<TIFF, TiffCloser>;

TiffFile OpenTiff(TiffInput* input) {
  TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
  if (options == nullptr) return nullptr;
  TIFFOpenOptionsSetErrorHandlerExtR(options, OnTiffError, input);
  TIFFOpenOptionsSetWarningHandlerExtR(options, OnTiffWarning, input);
  TIFFOpenOptionsSetMaxSingleMemAlloc(
      options, kMaxLibtiffBytes + static_cast<tmsize_t>(input->bytes.size()));
  TIFF* tiff = TIFFClientOpenExt("", "r", input, ReadTiff, WriteTiff, SeekTiff, CloseTiff,
                                 SizeOfTiff, MapTiff, UnmapTiff, options);
  TIFFOpenOptionsFree(options);
  return TiffFile(tiff);
}

Status DamagedTiff(const ImageSource& source, const TiffInput& input, const char* otherwise) {
  const char* what = input.message[0] != '\0' ? input.message.data() : otherwise;
  return Error(StatusCode::kDataError, "{}: truncated or damaged TIFF: {}", source.name, what);
}

enum class TiffAlpha { kNone, kStraight, kPremultiplied };

struct TiffHeader {
  uint32_t width = 0;
  uint32_t height = 0;
  uint16_t bits = 1;
  uint16_t samples = 1;  // of a pixel
  uint16_t photometric = PHOTOMETRIC_MINISWHITE;
  uint16_t orientation = 1;
  bool planes = false;  // each sample has blocks of its own
  bool tiled = false;
  TiffAlpha alpha = TiffAlpha::kNone;  // the sample behind the colours
  std::array<std::array<uint8_t, 3>, 256> palette = {};

  // Samples that make the colour.
  int colors() const {
    switch (photometric) {
      case PHOTOMETRIC_RGB:
      case PHOTOMETRIC_YCBCR:
        return 3;
      case PHOTOMETRIC_SEPARATED:
        return 4;
      default:
        return 1;
    }
  }
};

bool KnownCompression(uint16_t compression) {
  constexpr uint16_t kKnown[] = {
      COMPRESSION_NONE,          COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3, COMPRESSION_CCITTFAX4,
      COMPRESSION_LZW,           COMPRESSION_JPEG,     COMPRESSION_PACKBITS,  COMPRESSION_DEFLATE,
      COMPRESSION_ADOBE_DEFLATE, COMPRESSION_LZMA,     COMPRESSION_ZSTD,      COMPRESSION_WEBP};
  return std::ranges::find(kKnown, compression) != std::end(kKnown) &&
         TIFFIsCODECConfigured(compression) != 0;
}

bool KnownKind(const TiffHeader& header, uint16_t format) {
  const int colors = header.colors();
  if (format != SAMPLEFORMAT_UINT || header.samples < colors || header.samples > kMaxSamples) {
    return false;
  }
  const bool single = header.samples == 1;
  const bool eight = header.bits == 8;
  switch (header.photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
      return eight || header.bits == 16 ||
             (single && (header.bits == 1 || header.bits == 2 || header.bits == 4));
    case PHOTOMETRIC_PALETTE:
      return eight || (single && (header.bits == 1 || header.bits == 2 || header.bits == 4));
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_SEPARATED:
      return eight || header.bits == 16;
    case PHOTOMETRIC_YCBCR:  // libjpeg makes RGB of it
      return eight && header.samples == 3;
    default:
      return false;
  }
}

// What the sample behind the colours is. Without a word about it, the fourth of RGB is alpha.
TiffAlpha AlphaOf(TIFF* tiff, const TiffHeader& header) {
  if (header.samples <= header.colors()) return TiffAlpha::kNone;
  uint16_t count = 0;
  const uint16_t* kinds = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 0 || count == 0) {
    return header.photometric == PHOTOMETRIC_RGB && header.samples == 4 ? TiffAlpha::kStraight
                                                                        : TiffAlpha::kNone;
  }
  if (header.photometric == PHOTOMETRIC_SEPARATED) return TiffAlpha::kNone;
  if (kinds[0] == EXTRASAMPLE_ASSOCALPHA) return TiffAlpha::kPremultiplied;
  return kinds[0] == EXTRASAMPLE_UNASSALPHA ? TiffAlpha::kStraight : TiffAlpha::kNone;
}

Result<TiffHeader> ReadTiffHeader(const ImageSource& source, const TiffInput& input, TIFF* tiff) {
  TiffHeader header;
  uint16_t compression = COMPRESSION_NONE;
  uint16_t format = SAMPLEFORMAT_UINT;
  uint16_t planar = PLANARCONFIG_CONTIG;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &header.width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &header.height);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &header.photometric);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &header.bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &header.samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &header.orientation);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, header.width, header.height));
  if (input.palette_lost) return DamagedTiff(source, input, "its palette cannot be read");
  const bool bad_ycbcr = header.photometric == PHOTOMETRIC_YCBCR && compression != COMPRESSION_JPEG;
  if (!KnownCompression(compression) || !KnownKind(header, format) || bad_ycbcr) {
    return Error(StatusCode::kUnsupported,
                 "{}: unsupported TIFF: photometric interpretation {}, {} samples of {} bits, "
                 "sample format {}, compression {}; convert it to PNG",
                 source.name, header.photometric, header.samples, header.bits, format, compression);
  }
  if (header.orientation < 1 || header.orientation > 8) header.orientation = 1;
  header.planes = planar == PLANARCONFIG_SEPARATE && header.samples > 1;
  header.tiled = TIFFIsTiled(tiff) != 0;
  header.alpha = AlphaOf(tiff, header);
  if (compression == COMPRESSION_JPEG && header.photometric == PHOTOMETRIC_YCBCR) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  if (header.photometric == PHOTOMETRIC_PALETTE) {
    const uint16_t* channels[3] = {};
    if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &channels[0], &channels[1], &channels[2]) == 0) {
      return DamagedTiff(source, input, "it has no palette");
    }
    for (size_t i = 0; i < size_t{1} << header.bits; ++i) {
      for (size_t c = 0; c < 3; ++c) {
        header.palette[i][c] = static_cast<uint8_t>(channels[c][i] >> 8);
      }
    }
  }
  return header;
}

// `count` samples as 8-bit levels, `step` apart in `to`; of fewer bits as they are.
void UnpackSamples(const uint8_t* from, int bits, size_t count, size_t step, uint8_t* to) {
  for (size_t i = 0; i < count; ++i, to += step) {
    if (bits == 8) {
      *to = from[i];
    } else if (bits == 16) {
      uint16_t value = 0;  // in the order of this machine
      std::memcpy(&value, from + 2 * i, 2);
      *to = static_cast<uint8_t>(value >> 8);
    } else {
      const size_t per_byte = 8 / static_cast<size_t>(bits);
      const size_t shift = 8 - static_cast<size_t>(bits) * (i % per_byte + 1);
      *to = static_cast<uint8_t>(from[i / per_byte] >> shift & ((1 << bits) - 1));
    }
  }
}

// Colours that were multiplied by their alpha.
void Unmultiply(uint8_t* rgba) {
  if (rgba[3] == 255) return;
  for (int c = 0; c < 3; ++c) {
    rgba[c] = rgba[3] == 0 ? 0 : static_cast<uint8_t>(std::min(rgba[c] * 255 / rgba[3], 255));
  }
}

// levels: [width, samples] as UnpackSamples leaves them; to: [width, channels].
void ConvertRow(const TiffHeader& header, const uint8_t* levels, size_t width, size_t channels,
                uint8_t* to) {
  const int colors = header.colors();
  // Values of 1, 2 and 4 bits are spread over 0..255.
  const int spread = header.bits < 8 ? 255 / ((1 << header.bits) - 1) : 1;
  for (size_t x = 0; x < width; ++x, levels += header.samples, to += channels) {
    if (header.photometric == PHOTOMETRIC_PALETTE) {
      std::memcpy(to, header.palette[levels[0]].data(), 3);
    } else if (colors == 1) {
      const int level = levels[0] * spread;
      std::memset(to, header.photometric == PHOTOMETRIC_MINISWHITE ? 255 - level : level, 3);
    } else if (colors == 3) {
      std::memcpy(to, levels, 3);
    } else {
      const int white = 255 - levels[3];
      for (int c = 0; c < 3; ++c) {
        const int scaled = levels[c] * white + 128;
        to[c] = static_cast<uint8_t>(white - ((scaled + (scaled >> 8)) >> 8));
      }
    }
    if (channels == 4) {
      to[3] = levels[colors];
      if (header.alpha == TiffAlpha::kPremultiplied) Unmultiply(to);
    }
  }
}

// Decodes the blocks, which are strips or tiles, one after the other.
class TiffBlocks {
 public:
  TiffBlocks(const ImageSource& source, const TiffInput& input, TIFF* tiff,
             const TiffHeader& header)
      : source_(source), input_(input), tiff_(tiff), header_(header) {}

  Status Read(Image* image) {
    width_ = header_.width;
    height_ = header_.height;
    if (header_.tiled) {
      TIFFGetField(tiff_, TIFFTAG_TILEWIDTH, &width_);
      TIFFGetField(tiff_, TIFFTAG_TILELENGTH, &height_);
      FASTVLM_RETURN_IF_ERROR(CheckImageSize(source_, width_, height_));
    } else {
      uint32_t rows = header_.height;
      TIFFGetFieldDefaulted(tiff_, TIFFTAG_ROWSPERSTRIP, &rows);
      height_ = std::clamp(rows, uint32_t{1}, header_.height);
    }
    const uint64_t samples = header_.planes ? 1 : header_.samples;
    row_bytes_ = (uint64_t{width_} * samples * header_.bits + 7) / 8;
    const uint64_t expected = row_bytes_ * height_;
    const uint64_t stated = header_.tiled ? TIFFTileSize64(tiff_) : TIFFStripSize64(tiff_);
    if (stated != expected) return DamagedTiff(source_, input_, "its blocks have a strange size");
    const uint64_t planes = header_.planes ? header_.samples : 1;
    channels_ = header_.alpha == TiffAlpha::kNone ||
                        (header_.alpha == TiffAlpha::kStraight && !source_.options.background)
                    ? 3
                    : 4;
    FASTVLM_RETURN_IF_ERROR(AllocateImage(source_, header_.width, header_.height, image, channels_,
                                          static_cast<int64_t>(expected * planes)));
    blocks_.assign(planes, std::vector<uint8_t>(expected));
    levels_.resize(size_t{width_} * header_.samples);
    for (uint32_t y = 0; y < header_.height; y += height_) {
      for (uint32_t x = 0; x < header_.width; x += width_) {
        FASTVLM_RETURN_IF_ERROR(ReadBlock(x, y));
        PlaceBlock(x, y, image);
      }
    }
    if (channels_ == 4) RemoveAlpha(source_, image);
    return Status();
  }

 private:
  Status ReadBlock(uint32_t x, uint32_t y) {
    // The last strip has the rows that are left; a tile is always whole.
    const uint64_t rows = header_.tiled ? height_ : std::min(height_, header_.height - y);
    const auto wanted = static_cast<tmsize_t>(rows * row_bytes_);
    for (size_t plane = 0; plane < blocks_.size(); ++plane) {
      const auto sample = static_cast<uint16_t>(plane);
      uint8_t* block = blocks_[plane].data();
      const tmsize_t got =
          header_.tiled
              ? TIFFReadEncodedTile(tiff_, TIFFComputeTile(tiff_, x, y, 0, sample), block, wanted)
              : TIFFReadEncodedStrip(tiff_, TIFFComputeStrip(tiff_, y, sample), block, wanted);
      if (got != wanted) return DamagedTiff(source_, input_, "some of its pixels are missing");
    }
    return Status();
  }

  void PlaceBlock(uint32_t x, uint32_t y, Image* image) {
    const uint32_t rows = std::min(height_, header_.height - y);
    const size_t columns = std::min(width_, header_.width - x);
    for (uint32_t row = 0; row < rows; ++row) {
      const size_t at = row * row_bytes_;
      if (header_.planes) {
        for (size_t plane = 0; plane < blocks_.size(); ++plane) {
          UnpackSamples(&blocks_[plane][at], header_.bits, columns, header_.samples,
                        &levels_[plane]);
        }
      } else {
        UnpackSamples(&blocks_[0][at], header_.bits, columns * header_.samples, 1, levels_.data());
      }
      const size_t first = size_t{y + row} * header_.width + x;
      ConvertRow(header_, levels_.data(), columns, static_cast<size_t>(channels_),
                 &image->pixels[first * static_cast<size_t>(channels_)]);
    }
  }

  const ImageSource& source_;
  const TiffInput& input_;
  TIFF* tiff_;
  const TiffHeader& header_;
  uint32_t width_ = 0;  // of a block
  uint32_t height_ = 0;
  uint64_t row_bytes_ = 0;  // of a row of a block
  int channels_ = 3;
  std::vector<std::vector<uint8_t>> blocks_;  // one for each plane
  std::vector<uint8_t> levels_;
};

}  // namespace

Result<DecodedImage> DecodeTiff(const ImageSource& source) {
  TiffInput input{source.bytes};
  const TiffFile tiff = OpenTiff(&input);
  if (tiff == nullptr) return DamagedTiff(source, input, "it has no page");
  FASTVLM_ASSIGN_OR_RETURN(const TiffHeader header, ReadTiffHeader(source, input, tiff.get()));
  DecodedImage decoded;
  decoded.orientation = header.orientation;
  FASTVLM_RETURN_IF_ERROR(TiffBlocks(source, input, tiff.get(), header).Read(&decoded.image));
  return decoded;
}

}  // namespace fastvlm
