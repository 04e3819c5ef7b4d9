// A hostile picture: the first byte says what is wanted of it, the rest is its file, whose decoder
// is chosen by its own first bytes.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "image/image.h"
#include "image/preprocess.h"

namespace {

using fastvlm::EncodeOptions;
using fastvlm::Image;
using fastvlm::ImageOptions;

// Small enough that no single input takes long.
constexpr int64_t kMaxPixels = 1 << 16;

void CheckImage(const Image& image) {
  FASTVLM_CHECK(image.width > 0 && image.height > 0);
  FASTVLM_CHECK(int64_t{image.width} * image.height <= kMaxPixels);
  FASTVLM_CHECK(image.pixels.size() == size_t{3} * image.width * image.height);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> file(data + 1, size - 1);
  ImageOptions options{
      .max_pixels = kMaxPixels, .max_side = 4096, .max_decode_bytes = 16 * kMaxPixels};
  options.orient = (data[0] & 1) == 0;
  if ((data[0] & 2) != 0) options.background = fastvlm::Color{200, 50, 100};
  const auto whole = fastvlm::DecodeImage(file, "fuzz", options);
  if (whole.ok()) {
    CheckImage(*whole);
  } else {
    FASTVLM_CHECK(whole.status().message().starts_with("fuzz: "));
  }
  if ((data[0] & 4) == 0) return 0;
  // For a target the result must be that of the whole picture.
  const EncodeOptions target{16, 8, static_cast<fastvlm::Fit>((data[0] >> 3 & 3) % 3)};
  const auto fitted = fastvlm::DecodeImageFor(target, file, "fuzz", options);
  FASTVLM_CHECK(fitted.ok() || !whole.ok());
  if (!fitted.ok()) return 0;
  CheckImage(*fitted);
  // libheif's decoders leave chance pixels where a damaged file has none.
  if (!whole.ok() || fastvlm::SniffImageFormat(file) == fastvlm::ImageFormat::kHeif) return 0;
  const auto expected = FitImage(*whole, target.height, target.width, target.fit);
  const auto actual = FitImage(*fitted, target.height, target.width, target.fit);
  FASTVLM_CHECK(expected.ok() && actual.ok() && expected->pixels == actual->pixels);
  return 0;
}
