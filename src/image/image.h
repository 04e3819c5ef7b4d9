// Image files to pixels: JPEG, PNG, WebP, GIF, BMP, TIFF, PNM and ICO, and HEIC / AVIF where
// libheif was found at build time. docs/IMAGES.md says how each kind is read and what equals Pillow
// bit for bit.
#ifndef FASTVLM_IMAGE_IMAGE_H_
#define FASTVLM_IMAGE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "fastvlm/image.h"

namespace fastvlm {

enum class ImageFormat { kUnknown, kJpeg, kPng, kWebp, kGif, kBmp, kHeif, kTiff, kPnm, kIco };

// The kind of file by its first bytes, never by its name. kHeif is HEIC or AVIF.
ImageFormat SniffImageFormat(std::span<const uint8_t> bytes);

// True if this build has libheif.
bool HeifSupported();

// "JPEG, PNG, ..." for messages.
std::string SupportedImageFormats();

// Decodes one picture: the first frame of an animation, no colour management; alpha is dropped
// unless the options have a background.
// `name` begins every message. Errors: kDataError (empty, truncated or damaged), kUnsupported (a
// format or variant this build cannot read), kResourceExhausted (a limit of `options`, or memory).
Result<Image> DecodeImage(std::span<const uint8_t> bytes, const std::string& name,
                          const ImageOptions& options = {});

// Image::FromBytesFor.
Result<Image> DecodeImageFor(const EncodeOptions& target, std::span<const uint8_t> bytes,
                             const std::string& name, const ImageOptions& options = {});

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_IMAGE_H_
