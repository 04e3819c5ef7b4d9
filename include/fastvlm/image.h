// A decoded picture.
#ifndef FASTVLM_IMAGE_H_
#define FASTVLM_IMAGE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

// Pixels: [height, width, 3], RGB, 8 bits each, row by row.
struct FASTVLM_EXPORT Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;

  // JPEG, PNG, WebP, BMP, GIF (first frame), TIFF (first page), PNM, ICO (largest picture); HEIC
  // and AVIF where the build has libheif.
  static Result<Image> FromFile(const std::string& path, const ImageOptions& options = {});
  // Reads standard input to its end.
  static Result<Image> FromStandardInput(const ImageOptions& options = {});
  // `name` stands for the bytes in error messages.
  static Result<Image> FromBytes(std::span<const uint8_t> bytes, const std::string& name,
                                 const ImageOptions& options = {});
  // For a picture that is encoded only as `target` says, whose sides are not 0. It may come already
  // brought to that size, where this takes less memory: what the model then sees is the same, bit
  // for bit. Of a JPEG the whole picture is never held, whatever its size.
  static Result<Image> FromBytesFor(const EncodeOptions& target, std::span<const uint8_t> bytes,
                                    const std::string& name, const ImageOptions& options = {});
};

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_H_
