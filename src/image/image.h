// Image files to pixels: JPEG, PNG, WebP, GIF and BMP, and HEIC / AVIF where libheif was found at
// build time. docs/IMAGES.md says how each kind is read and what equals Pillow bit for bit.
#ifndef FASTVLM_IMAGE_IMAGE_H_
#define FASTVLM_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace fastvlm {

struct RgbImage {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3], the file's own RGB values (taken as sRGB)
};

struct DecodeOptions {
  // Apply the EXIF orientation. Apple's predict.py does not: false reproduces it on rotated photos.
  // HEIC and AVIF are always shown upright: their rotation is part of the format, not of EXIF.
  bool orient = true;
  // Width times height. The default is the hard limit of Pillow, twice the 89,478,485 pixels above
  // which it warns: what the reference opens, this opens, in at most 0.5 GiB of RGB.
  int64_t max_pixels = 178'956'970;
  // Pixels of the longer side; the default is libpng's.
  int max_side = 1'000'000;
  // Bytes of the encoded file.
  size_t max_file_bytes = size_t{1} << 30;
};

enum class ImageFormat { kUnknown, kJpeg, kPng, kWebp, kGif, kBmp, kHeif };

// The kind of file by its first bytes, never by its name. kHeif is HEIC or AVIF.
ImageFormat SniffImageFormat(std::span<const uint8_t> bytes);

// True if this build has libheif.
bool HeifSupported();

// "JPEG, PNG, ..." for messages.
std::string SupportedImageFormats();

// Decodes one picture: the first frame of an animation, alpha dropped, no colour management.
// `name` begins every message. Errors: kDataError (empty, truncated or damaged), kUnsupported (a
// format or variant this build cannot read), kResourceExhausted (a limit of `options`, or memory).
Result<RgbImage> DecodeImage(std::span<const uint8_t> bytes, const std::string& name,
                             const DecodeOptions& options = {});

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_IMAGE_H_
