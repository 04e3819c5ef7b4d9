// Time of decoding and preprocessing a 64-megapixel photograph-like JPEG.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include <jpeglib.h>

#include "base/check.h"
#include "image/image.h"
#include "image/preprocess.h"

namespace fastvlm {
namespace {

constexpr int kWidth = 9248;
constexpr int kHeight = 6936;

// Smooth shapes with sensor noise: compresses like a photograph of a phone.
const Image& Photo() {
  static const Image photo = [] {
    Image image{kWidth, kHeight, std::vector<uint8_t>(size_t{kWidth} * kHeight * 3)};
    std::minstd_rand random(1);
    size_t i = 0;
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const int base = (x / 64 * 37 + y / 48 * 61) % 140 + (x % 97 + y % 71) / 4;
        const int noise = static_cast<int>(random() % 41);
        for (int c = 0; c < 3; ++c) {
          image.pixels[i++] = static_cast<uint8_t>(base + noise + c * 9);
        }
      }
    }
    return image;
  }();
  return photo;
}

const std::vector<uint8_t>& PhotoJpeg() {
  static const std::vector<uint8_t> bytes = [] {
    jpeg_compress_struct jpeg = {};
    jpeg_error_mgr errors = {};
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned char* data = nullptr;
    unsigned long size = 0;  // NOLINT: libjpeg's type
    jpeg_mem_dest(&jpeg, &data, &size);
    jpeg.image_width = kWidth;
    jpeg.image_height = kHeight;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    Image image = Photo();
    while (jpeg.next_scanline < jpeg.image_height) {
      JSAMPROW row = &image.pixels[size_t{jpeg.next_scanline} * kWidth * 3];
      jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    std::vector<uint8_t> result(data, data + size);
    std::free(data);
    return result;
  }();
  return bytes;
}

void DecodeJpeg64Megapixels(benchmark::State& state) {
  for (auto _ : state) {
    const auto image = DecodeImage(PhotoJpeg(), "photo.jpg");
    FASTVLM_CHECK(image.ok());
    benchmark::DoNotOptimize(image->pixels.data());
  }
  state.counters["file_MB"] = static_cast<double>(PhotoJpeg().size()) / 1e6;
}
BENCHMARK(DecodeJpeg64Megapixels)->Unit(benchmark::kMillisecond)->MinTime(2);

void Pad64MegapixelsTo1024(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    const auto tensor = Preprocess(Photo(), 1024, 1024, Fit::kPad, &pool);
    FASTVLM_CHECK(tensor.ok());
    benchmark::DoNotOptimize(tensor->values.data());
  }
}
BENCHMARK(Pad64MegapixelsTo1024)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MinTime(1);

void Pad12MegapixelsTo1024(benchmark::State& state) {
  const Image photo{4000, 3000, {Photo().pixels.begin(), Photo().pixels.begin() + 36'000'000}};
  for (auto _ : state) {
    const auto tensor = Preprocess(photo, 1024, 1024, Fit::kPad);
    FASTVLM_CHECK(tensor.ok());
    benchmark::DoNotOptimize(tensor->values.data());
  }
}
BENCHMARK(Pad12MegapixelsTo1024)->Unit(benchmark::kMillisecond)->UseRealTime()->MinTime(1);

}  // namespace
}  // namespace fastvlm
