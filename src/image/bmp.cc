// BMP, read here because no small, maintained library of Debian does: 1, 4, 8, 16, 24 and 32 bits,
// bit fields, RLE4 and RLE8, bottom-up and top-down, OS/2 and Windows headers.
// Source: Microsoft's "Bitmap Storage" and the BITMAPINFOHEADER .. BITMAPV5HEADER structures.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "image/decoder.h"

namespace fastvlm {
namespace {

constexpr size_t kFileHeaderBytes = 14;
constexpr uint32_t kCoreHeaderBytes = 12;
constexpr uint32_t kInfoHeaderBytes = 40;
constexpr uint32_t kOs2HeaderBytes = 64;
constexpr uint32_t kAlphaHeaderBytes = 56;  // the shortest one with a mask for alpha
constexpr uint32_t kMaxPaletteColors = 65536;
constexpr uint32_t kHighByte = 0xff000000;

enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

struct BmpHeader {
  int64_t width = 0;
  int64_t height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = kRaw;
  uint32_t colors = 0;        // entries of the stored palette
  size_t palette_offset = 0;  // from the start of the file
  size_t palette_entry = 4;   // bytes
  size_t data_offset = 0;
  std::array<uint32_t, 3> masks = {};  // red, green, blue, for 16 and 32 bits
  uint32_t alpha_mask = 0;             // of a byte; 0: there is no alpha, or it is not wanted
  int64_t channels() const { return alpha_mask == 0 ? 3 : 4; }
};

using Palette = std::array<std::array<uint8_t, 3>, 256>;

Status Truncated(const ImageSource& source, size_t needed) {
  return Error(StatusCode::kDataError, "{}: truncated BMP: {} bytes, at least {} needed",
               source.name, source.bytes.size(), needed);
}

uint32_t U16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint32_t>(bytes[at] | bytes[at + 1] << 8);
}

uint32_t U32(std::span<const uint8_t> bytes, size_t at) {
  return U16(bytes, at) | U16(bytes, at + 2) << 16;
}

Status CheckKind(const ImageSource& source, const BmpHeader& header) {
  const uint32_t bits = header.bits;
  bool supported = false;
  switch (header.compression) {
    case kRaw:
      supported = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
      break;
    case kRle8:
      supported = bits == 8;
      break;
    case kRle4:
      supported = bits == 4;
      break;
    case kBitFields:
      supported = bits == 16 || bits == 32;
      break;
    default:
      break;
  }
  if (supported) return Status();
  return Error(StatusCode::kUnsupported,
               "{}: unsupported BMP: {} bits per pixel with compression {}; convert it to PNG",
               source.name, bits, header.compression);
}

// Bit fields follow a 40-byte header and are part of longer ones, at the same place.
Status ReadMasks(const ImageSource& source, uint32_t header_bytes, BmpHeader* header) {
  header->masks = header->bits == 16 ? std::array<uint32_t, 3>{0x7c00, 0x3e0, 0x1f}
                                     : std::array<uint32_t, 3>{0xff0000, 0xff00, 0xff};
  if (header->compression != kBitFields) return Status();
  const size_t at = kFileHeaderBytes + kInfoHeaderBytes;
  if (source.bytes.size() < at + 12) return Truncated(source, at + 12);
  if (header_bytes == kInfoHeaderBytes) header->palette_offset += 12;
  const std::array<uint32_t, 3> masks = {U32(source.bytes, at), U32(source.bytes, at + 4),
                                         U32(source.bytes, at + 8)};
  const bool has_alpha_mask = header_bytes >= kAlphaHeaderBytes &&
                              header_bytes != kOs2HeaderBytes && source.bytes.size() >= at + 16;
  if (header->bits == 32 && has_alpha_mask) header->alpha_mask = U32(source.bytes, at + 12);
  if ((masks[0] | masks[1] | masks[2]) == 0) {  // Pillow too: the default layout
    if (header->bits == 32 && header->alpha_mask == 0) header->alpha_mask = kHighByte;
    return Status();
  }
  for (uint32_t mask : masks) {
    const uint32_t run = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if (mask == 0 || (run & (run + 1)) != 0 || (header->bits == 16 && mask > 0xffff)) {
      return Error(StatusCode::kDataError,
                   "{}: damaged BMP: colour mask {:#x} is not a run of bits", source.name, mask);
    }
  }
  header->masks = masks;
  return Status();
}

Result<BmpHeader> ReadHeader(const ImageSource& source) {
  const std::span<const uint8_t> bytes = source.bytes;
  if (bytes.size() < kFileHeaderBytes + 4) return Truncated(source, kFileHeaderBytes + 4);
  const uint32_t header_bytes = U32(bytes, kFileHeaderBytes);
  const bool core = header_bytes == kCoreHeaderBytes;
  if (!core && header_bytes != 40 && header_bytes != 52 && header_bytes != 56 &&
      header_bytes != 64 && header_bytes != 108 && header_bytes != 124) {
    return Error(StatusCode::kUnsupported, "{}: unsupported BMP: a header of {} bytes", source.name,
                 header_bytes);
  }
  const size_t header_end = kFileHeaderBytes + header_bytes;
  if (bytes.size() < header_end) return Truncated(source, header_end);

  BmpHeader header;
  header.palette_offset = header_end;
  if (core) {
    header.width = U16(bytes, 18);
    header.height = U16(bytes, 20);
    header.bits = U16(bytes, 24);
    header.palette_entry = 3;
  } else {
    header.width = static_cast<int32_t>(U32(bytes, 18));
    header.height = static_cast<int32_t>(U32(bytes, 22));
    header.top_down = header.height < 0;
    if (header.top_down) header.height = -header.height;
    header.bits = U16(bytes, 28);
    header.compression = U32(bytes, 30);
    header.colors = U32(bytes, 46);
  }
  FASTVLM_RETURN_IF_ERROR(CheckKind(source, header));
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, header.width, header.height));
  FASTVLM_RETURN_IF_ERROR(ReadMasks(source, header_bytes, &header));
  if (header.bits <= 8 && header.colors == 0) header.colors = 1u << header.bits;
  if (header.bits <= 8 && header.colors > kMaxPaletteColors) {
    return Error(StatusCode::kDataError, "{}: damaged BMP: a palette of {} colours", source.name,
                 header.colors);
  }
  const size_t palette_bytes = header.bits <= 8 ? header.colors * header.palette_entry : 0;
  header.data_offset = U32(bytes, 10);
  // Some writers count the palette as part of the pixels, or leave the offset out.
  if (header.data_offset <= header_end) header.data_offset = header.palette_offset + palette_bytes;
  if (header.data_offset > bytes.size()) return Truncated(source, header.data_offset);
  return header;
}

// Indices beyond the palette are black.
Result<Palette> ReadPalette(const ImageSource& source, const BmpHeader& header) {
  Palette palette = {};
  const size_t end = header.palette_offset + header.colors * header.palette_entry;
  if (source.bytes.size() < end) return Truncated(source, end);
  for (size_t i = 0; i < palette.size() && i < header.colors; ++i) {
    const uint8_t* bgr = &source.bytes[header.palette_offset + i * header.palette_entry];
    palette[i] = {bgr[2], bgr[1], bgr[0]};
  }
  return palette;
}

uint8_t* RowOf(const BmpHeader& header, int64_t stored_row, Image* image) {
  const int64_t y = header.top_down ? stored_row : header.height - 1 - stored_row;
  return &image->pixels[static_cast<size_t>(y * header.width * header.channels())];
}

void ReadIndexedRow(const uint8_t* from, int64_t width, uint32_t bits, const Palette& palette,
                    uint8_t* to) {
  const uint32_t per_byte = 8 / bits;
  for (int64_t x = 0; x < width; ++x, to += 3) {
    const uint32_t place = static_cast<uint32_t>(x) % per_byte;
    const uint32_t index = from[x / per_byte] >> (8 - bits * (place + 1)) & ((1u << bits) - 1);
    std::memcpy(to, palette[index].data(), 3);
  }
}

void ReadMaskedRow(const uint8_t* from, const BmpHeader& header, uint8_t* to) {
  const size_t pixel_bytes = header.bits / 8;
  for (int64_t x = 0; x < header.width; ++x, from += pixel_bytes) {
    uint32_t pixel = from[0] | static_cast<uint32_t>(from[1]) << 8;
    if (pixel_bytes == 4) pixel |= U16({from, 4}, 2) << 16;
    for (uint32_t mask : header.masks) {
      const int shift = std::countr_zero(mask);
      const uint64_t value = (pixel & mask) >> shift;
      *to++ = static_cast<uint8_t>(value * 255 / (mask >> shift));
    }
    if (header.alpha_mask != 0) {
      *to++ =
          static_cast<uint8_t>((pixel & header.alpha_mask) >> std::countr_zero(header.alpha_mask));
    }
  }
}

Status ReadRaw(const ImageSource& source, const BmpHeader& header, const Palette& palette,
               Image* image) {
  const size_t row_bits = static_cast<size_t>(header.width) * header.bits;
  const size_t stride = (row_bits + 31) / 32 * 4;
  const size_t needed =
      header.data_offset + stride * static_cast<size_t>(header.height - 1) + (row_bits + 7) / 8;
  if (source.bytes.size() < needed) return Truncated(source, needed);
  const uint8_t* from = source.bytes.data() + header.data_offset;
  for (int64_t row = 0; row < header.height; ++row, from += stride) {
    uint8_t* to = RowOf(header, row, image);
    if (header.bits <= 8) {
      ReadIndexedRow(from, header.width, header.bits, palette, to);
    } else if (header.bits == 24) {
      for (int64_t i = 0; i < header.width * 3; i += 3) {
        to[i] = from[i + 2];
        to[i + 1] = from[i + 1];
        to[i + 2] = from[i];
      }
    } else {
      ReadMaskedRow(from, header, to);
    }
  }
  return Status();
}

// Runs of RLE4 and RLE8. Pixels that no run sets keep colour 0.
class RleReader {
 public:
  RleReader(std::span<const uint8_t> data, const BmpHeader& header, const Palette& palette,
            Image* image)
      : data_(data), header_(header), palette_(palette), image_(image) {}

  // False when the data end before the picture does.
  bool Read() {
    for (int64_t row = 0; row < header_.height; ++row) {
      uint8_t* to = RowOf(header_, row, image_);
      for (int64_t x = 0; x < header_.width; ++x) std::memcpy(to + x * 3, palette_[0].data(), 3);
    }
    while (row_ < header_.height) {
      if (position_ + 2 > data_.size()) {
        return row_ == header_.height - 1 && column_ == header_.width;
      }
      const uint8_t count = data_[position_];
      const uint8_t value = data_[position_ + 1];
      position_ += 2;
      if (count > 0) {
        for (int i = 0; i < count; ++i) Put(header_.bits == 8 ? value : Nibble(value, i));
      } else if (value == 0) {
        column_ = 0;
        ++row_;
      } else if (value == 1) {
        return true;
      } else if (value == 2) {
        if (!Move()) return false;
      } else if (!ReadLiterals(value)) {
        return false;
      }
    }
    return true;
  }

 private:
  static uint8_t Nibble(uint8_t value, int i) { return i % 2 == 0 ? value >> 4 : value & 15; }

  void Put(uint8_t index) {
    if (column_ >= header_.width) return;  // runs do not cross the end of a row
    std::memcpy(RowOf(header_, row_, image_) + column_ * 3, palette_[index].data(), 3);
    ++column_;
  }

  bool Move() {
    if (position_ + 2 > data_.size()) return false;
    column_ += data_[position_];
    row_ += data_[position_ + 1];
    position_ += 2;
    if (column_ > header_.width) column_ = header_.width;
    return true;
  }

  bool ReadLiterals(int count) {
    const size_t bytes = static_cast<size_t>(header_.bits == 8 ? count : (count + 1) / 2);
    if (bytes > data_.size() - position_) return false;
    for (int i = 0; i < count; ++i) {
      Put(header_.bits == 8 ? data_[position_ + static_cast<size_t>(i)]
                            : Nibble(data_[position_ + static_cast<size_t>(i) / 2], i));
    }
    position_ = std::min(position_ + (bytes + 1) / 2 * 2, data_.size());  // padded to 16 bits
    return true;
  }

  std::span<const uint8_t> data_;
  const BmpHeader& header_;
  const Palette& palette_;
  Image* image_;
  size_t position_ = 0;
  int64_t row_ = 0;     // as stored
  int64_t column_ = 0;  // at most the width
};

// alpha_byte: the fourth byte of 32-bit pixels is alpha, as in icons.
Result<DecodedImage> DecodeBitmap(const ImageSource& source, bool alpha_byte) {
  FASTVLM_ASSIGN_OR_RETURN(BmpHeader header, ReadHeader(source));
  if (alpha_byte && header.bits == 32) header.alpha_mask = kHighByte;
  // Others than whole bytes are not known to Pillow either.
  const uint32_t alpha_byte_mask = header.alpha_mask >> (std::countr_zero(header.alpha_mask) & 31);
  if (!source.options.background.has_value() || alpha_byte_mask != 0xff) header.alpha_mask = 0;
  Palette palette = {};
  if (header.bits <= 8) {
    FASTVLM_ASSIGN_OR_RETURN(palette, ReadPalette(source, header));
  }
  DecodedImage decoded;
  FASTVLM_RETURN_IF_ERROR(AllocateImage(source, header.width, header.height, &decoded.image,
                                        static_cast<int>(header.channels())));
  if (header.compression != kRle8 && header.compression != kRle4) {
    FASTVLM_RETURN_IF_ERROR(ReadRaw(source, header, palette, &decoded.image));
    if (header.alpha_mask != 0) RemoveAlpha(source, &decoded.image);
    return decoded;
  }
  RleReader reader(source.bytes.subspan(header.data_offset), header, palette, &decoded.image);
  if (!reader.Read()) {
    return Error(StatusCode::kDataError,
                 "{}: truncated BMP: its run-length data end before the picture is complete",
                 source.name);
  }
  return decoded;
}

// Shows the background where the mask at the end of an icon's bitmap has ones. Its rows are padded
// to 32 bits and stand bottom-up.
Status ApplyIconMask(const ImageSource& source, Color background, Image* image) {
  const size_t width = static_cast<size_t>(image->width);
  const size_t height = static_cast<size_t>(image->height);
  const size_t stride = (width + 31) / 32 * 4;
  if (source.bytes.size() < stride * height) return Truncated(source, stride * height);
  const std::span<const uint8_t> mask = source.bytes.last(stride * height);
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* row = &mask[(height - 1 - y) * stride];
    uint8_t* to = &image->pixels[y * width * 3];
    for (size_t x = 0; x < width; ++x, to += 3) {
      if ((row[x / 8] >> (7 - x % 8) & 1) == 0) continue;
      to[0] = background.red;
      to[1] = background.green;
      to[2] = background.blue;
    }
  }
  return Status();
}

}  // namespace

Result<DecodedImage> DecodeBmp(const ImageSource& source) { return DecodeBitmap(source, false); }

Result<DecodedImage> DecodeIconBitmap(const ImageSource& source) {
  if (source.bytes.size() < kInfoHeaderBytes) return Truncated(source, kInfoHeaderBytes);
  if (U32(source.bytes, 0) < kInfoHeaderBytes) {
    return Error(StatusCode::kUnsupported, "{}: unsupported ICO: a bitmap header of {} bytes",
                 source.name, U32(source.bytes, 0));
  }
  // A file header without an offset, and the height of the colours alone.
  std::vector<uint8_t> file(kFileHeaderBytes);
  file.insert(file.end(), source.bytes.begin(), source.bytes.end());
  const auto height = static_cast<int32_t>(U32(source.bytes, 8)) / 2;
  for (size_t i = 0; i < 4; ++i) {
    file[kFileHeaderBytes + 8 + i] = static_cast<uint8_t>(static_cast<uint32_t>(height) >> (8 * i));
  }
  FASTVLM_ASSIGN_OR_RETURN(DecodedImage decoded,
                           DecodeBitmap({file, source.name, source.options}, true));
  const bool has_alpha = U16(source.bytes, 14) == 32;
  if (source.options.background.has_value() && !has_alpha) {
    FASTVLM_RETURN_IF_ERROR(ApplyIconMask(source, *source.options.background, &decoded.image));
  }
  return decoded;
}

}  // namespace fastvlm
