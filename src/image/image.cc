#include "image/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>

#include "base/out_of_memory.h"
#include "image/alpha.h"
#include "image/decoder.h"
#include "image/orientation.h"
#include "image/other_kinds.h"
#include "image/preprocess.h"

namespace fastvlm {
namespace {

bool HasAt(std::span<const uint8_t> bytes, size_t offset, std::string_view text) {
  return bytes.size() >= offset + text.size() &&
         std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

// ISO base media file whose major or compatible brands name a still picture of HEVC or AV1.
bool IsHeif(std::span<const uint8_t> bytes) {
  constexpr std::array<std::string_view, 10> kBrands = {"heic", "heix", "heim", "heis", "hevc",
                                                        "hevx", "mif1", "msf1", "avif", "avis"};
  if (!HasAt(bytes, 4, "ftyp")) return false;
  const size_t box = size_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
  const size_t end = std::min(box, bytes.size());
  for (size_t at = 8; at + 4 <= end; at += 4) {
    if (at == 12) continue;  // the minor version
    if (std::ranges::any_of(kBrands, [&](auto brand) { return HasAt(bytes, at, brand); })) {
      return true;
    }
  }
  return false;
}

std::string FirstBytes(std::span<const uint8_t> bytes) {
  std::string text;
  for (uint8_t byte : bytes.first(std::min<size_t>(bytes.size(), 8))) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", byte);
  }
  return text;
}

Result<DecodedImage> DecodeByFormat(const ImageSource& source) {
  switch (SniffImageFormat(source.bytes)) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(source);
    case ImageFormat::kPng:
      return DecodePng(source);
    case ImageFormat::kWebp:
      return DecodeWebp(source);
    case ImageFormat::kGif:
      return DecodeGif(source);
    case ImageFormat::kBmp:
      return DecodeBmp(source);
    case ImageFormat::kHeif:
      return DecodeHeif(source);
    case ImageFormat::kTiff:
      return DecodeTiff(source);
    case ImageFormat::kPnm:
      return DecodePnm(source);
    case ImageFormat::kIco:
      return DecodeIco(source);
    case ImageFormat::kUnknown:
      break;
  }
  if (const std::string_view kind = OtherKindOf(source.bytes); !kind.empty()) {
    return Error(StatusCode::kUnsupported, "{}: {}; expected {}", source.name, kind,
                 SupportedImageFormats());
  }
  return Error(StatusCode::kUnsupported,
               "{}: not an image this build can read (it begins with bytes {}); expected {}. "
               "Convert it to one of these",
               source.name, FirstBytes(source.bytes), SupportedImageFormats());
}

}  // namespace

ImageFormat SniffImageFormat(std::span<const uint8_t> bytes) {
  if (HasAt(bytes, 0, "\xff\xd8\xff")) return ImageFormat::kJpeg;
  if (HasAt(bytes, 0, "\x89PNG\r\n\x1a\n")) return ImageFormat::kPng;
  if (HasAt(bytes, 0, "RIFF") && HasAt(bytes, 8, "WEBP")) return ImageFormat::kWebp;
  if (HasAt(bytes, 0, "GIF87a") || HasAt(bytes, 0, "GIF89a")) return ImageFormat::kGif;
  if (HasAt(bytes, 0, "BM")) return ImageFormat::kBmp;
  if (IsHeif(bytes)) return ImageFormat::kHeif;
  if (HasAt(bytes, 0, {"II*\0", 4}) || HasAt(bytes, 0, {"MM\0*", 4}) ||
      HasAt(bytes, 0, {"II+\0", 4}) || HasAt(bytes, 0, {"MM\0+", 4})) {
    return ImageFormat::kTiff;
  }
  if (bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
      std::string_view(" \t\r\n\v\f#").find(static_cast<char>(bytes[2])) !=
          std::string_view::npos) {
    return ImageFormat::kPnm;
  }
  if (HasAt(bytes, 0, {"\0\0\1\0", 4})) return ImageFormat::kIco;
  return ImageFormat::kUnknown;
}

std::string SupportedImageFormats() {
  return HeifSupported() ? "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, ICO, HEIC or AVIF"
                         : "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM or ICO";
}

Status CheckImageSize(const ImageSource& source, int64_t width, int64_t height) {
  if (width <= 0 || height <= 0) {
    return Error(StatusCode::kDataError, "{}: the image has no pixels ({} x {})", source.name,
                 width, height);
  }
  const ImageOptions& options = source.options;
  if (width > options.max_side || height > options.max_side) {
    return Error(StatusCode::kResourceExhausted,
                 "{}: {} x {} pixels, but a side may have at most {}. Scale the image down first",
                 source.name, width, height, options.max_side);
  }
  if (width * height > options.max_pixels) {
    return Error(StatusCode::kResourceExhausted,
                 "{}: {} x {} is {} pixels, the limit is {}. Scale the image down first",
                 source.name, width, height, width * height, options.max_pixels);
  }
  return Status();
}

Status CheckDecodeBytes(const ImageSource& source, int64_t width, int64_t height, int64_t bytes) {
  if (bytes <= source.options.max_decode_bytes) return Status();
  return Error(StatusCode::kResourceExhausted,
               "{}: decoding its {} x {} pixels takes {} bytes, the limit is {}. Scale the image "
               "down first, or store it as a JPEG that is not progressive",
               source.name, width, height, bytes, source.options.max_decode_bytes);
}

Status AllocateImage(const ImageSource& source, int64_t width, int64_t height, Image* image,
                     int channels, int64_t library_bytes) {
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, width, height));
  const int64_t bytes = width * height * channels;
  FASTVLM_RETURN_IF_ERROR(CheckDecodeBytes(source, width, height, bytes + library_bytes));
  image->width = static_cast<int>(width);
  image->height = static_cast<int>(height);
  try {
    image->pixels.assign(static_cast<size_t>(bytes), 0);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(static_cast<size_t>(bytes));
  }
  return Status();
}

void RemoveAlpha(const ImageSource& source, Image* image) {
  if (source.options.background.has_value()) {
    CompositeOver(*source.options.background, &image->pixels);
  } else {
    DropAlpha(&image->pixels);
  }
}

std::unique_ptr<RowResizer> ResizerFor(const ImageSource& source, int width, int height,
                                       int orientation) {
  if (source.target == nullptr) return nullptr;
  const EncodeOptions& target = *source.target;
  const int64_t whole = int64_t{3} * width * height;
  // What is not to be had is refused later, where the model's limits are known.
  if (target.width < 1 || target.height < 1 || target.width > kMaxTargetSide ||
      target.height > kMaxTargetSide || int64_t{3} * target.width * target.height >= whole) {
    return nullptr;
  }
  const FitAxes axes =
      AxesOfFit(orientation >= 5 ? height : width, orientation >= 5 ? width : height, target.width,
                target.height, target.fit);
  auto resizer =
      std::make_unique<RowResizer>(width, height, orientation, axes.horizontal, axes.vertical);
  if (resizer->held_bytes() >= whole) return nullptr;
  resizer->Start();
  return resizer;
}

namespace {

Image Upright(const ImageSource& source, DecodedImage decoded) {
  if (decoded.fitted) return std::move(decoded.image);
  const Image& image = decoded.image;
  const int orientation = source.options.orient ? decoded.orientation : 1;
  const auto resizer = ResizerFor(source, image.width, image.height, orientation);
  if (resizer == nullptr) return ApplyOrientation(std::move(decoded.image), orientation);
  for (int y = 0; y < image.height; ++y) {
    resizer->Add(y, &image.pixels[static_cast<size_t>(y) * image.width * 3]);
  }
  return resizer->Take();
}

Result<Image> Decode(const ImageSource& source) {
  const MemoryUse use = {"the pixels of the image", "scale the image down first", source.name};
  return CatchOutOfMemory(use, [&]() -> Result<Image> {
    const size_t size = source.bytes.size();
    if (size == 0) return Error(StatusCode::kDataError, "{}: the file is empty", source.name);
    if (size > source.options.max_file_bytes) {
      return Error(StatusCode::kResourceExhausted,
                   "{}: {} bytes, the limit for an image file is {}", source.name, size,
                   source.options.max_file_bytes);
    }
    FASTVLM_ASSIGN_OR_RETURN(DecodedImage decoded, DecodeByFormat(source));
    return Upright(source, std::move(decoded));
  });
}

}  // namespace

Result<Image> DecodeImage(std::span<const uint8_t> bytes, const std::string& name,
                          const ImageOptions& options) {
  return Decode({bytes, name, options});
}

Result<Image> DecodeImageFor(const EncodeOptions& target, std::span<const uint8_t> bytes,
                             const std::string& name, const ImageOptions& options) {
  return Decode({bytes, name, options, &target});
}

}  // namespace fastvlm
