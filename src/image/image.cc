#include "image/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>

#include "base/out_of_memory.h"
#include "image/decoder.h"
#include "image/orientation.h"

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
    case ImageFormat::kUnknown:
      break;
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
  return ImageFormat::kUnknown;
}

std::string SupportedImageFormats() {
  return HeifSupported() ? "JPEG, PNG, WebP, GIF, BMP, HEIC or AVIF"
                         : "JPEG, PNG, WebP, GIF or BMP";
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

Status AllocateImage(const ImageSource& source, int64_t width, int64_t height, Image* image) {
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, width, height));
  image->width = static_cast<int>(width);
  image->height = static_cast<int>(height);
  const size_t bytes = static_cast<size_t>(width * height) * 3;
  try {
    image->pixels.assign(bytes, 0);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(bytes);
  }
  return Status();
}

Result<Image> DecodeImage(std::span<const uint8_t> bytes, const std::string& name,
                          const ImageOptions& options) {
  const MemoryUse use = {"the pixels of the image", "scale the image down first", name};
  return CatchOutOfMemory(use, [&]() -> Result<Image> {
    if (bytes.empty()) return Error(StatusCode::kDataError, "{}: the file is empty", name);
    if (bytes.size() > options.max_file_bytes) {
      return Error(StatusCode::kResourceExhausted,
                   "{}: {} bytes, the limit for an image file is {}", name, bytes.size(),
                   options.max_file_bytes);
    }
    FASTVLM_ASSIGN_OR_RETURN(DecodedImage decoded,
                             DecodeByFormat(ImageSource{bytes, name, options}));
    if (!options.orient) return std::move(decoded.image);
    return ApplyOrientation(std::move(decoded.image), decoded.orientation);
  });
}

}  // namespace fastvlm
