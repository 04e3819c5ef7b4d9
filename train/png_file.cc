#include "train/png_file.h"

#include <png.h>

#include <array>
#include <vector>

#include "base/check.h"
#include "base/file.h"

namespace fastvlm::train {

Status WritePng(const std::string& path, std::span<const uint8_t> rgb, int height, int width) {
  FASTVLM_CHECK(static_cast<int64_t>(rgb.size()) == int64_t{3} * height * width);
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<uint8_t> bytes(size);
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, rgb.data(), 0, nullptr)) {
    return Error(StatusCode::kIoError, "{}: cannot encode the picture: {}", path, image.message);
  }
  const std::array<std::span<const uint8_t>, 1> parts = {std::span(bytes).first(size)};
  return WriteFileAtomically(path, parts);
}

}  // namespace fastvlm::train
