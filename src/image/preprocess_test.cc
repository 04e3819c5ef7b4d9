#include "image/preprocess.h"

#include <gmock/gmock.h>

#include <fstream>
#include <span>

#include "image/test_files.h"

namespace fastvlm {
namespace {

uint64_t Fnv1a(std::span<const uint8_t> bytes) {
  uint64_t value = 0xcbf29ce484222325;
  for (uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3;
  return value;
}

Fit FitOf(const std::string& name) {
  return name == "pad" ? Fit::kPad : name == "crop" ? Fit::kCrop : Fit::kStretch;
}

TEST(FitImage, EqualsPillowInEveryCase) {
  std::ifstream manifest(GoldenPath("preprocess/manifest.txt"));
  std::string source;
  std::string fit;
  int height = 0;
  int width = 0;
  uint64_t hash = 0;
  int cases = 0;
  ThreadPool pool(2);
  while (manifest >> source >> fit >> std::dec >> height >> width >> std::hex >> hash) {
    const Image image = GoldenImage("preprocess/" + source + ".png");
    const auto fitted =
        FitImage(image, height, width, FitOf(fit), cases % 2 == 0 ? nullptr : &pool);
    ASSERT_TRUE(fitted.ok()) << fitted.status().message();
    EXPECT_EQ(fitted->width, width);
    EXPECT_EQ(fitted->height, height);
    EXPECT_EQ(Fnv1a(fitted->pixels), hash) << source << " " << fit << " " << width << "x" << height;
    ++cases;
  }
  EXPECT_GE(cases, 100);
}

TEST(FitImage, EqualsPillowPixelByPixel) {
  for (const std::string& source : {std::string("37x61"), std::string("301x97")}) {
    for (const std::string& fit :
         {std::string("pad"), std::string("crop"), std::string("stretch")}) {
      const Image image = GoldenImage("preprocess/" + source + ".png");
      const Image expected = GoldenImage("preprocess/" + source + "_" + fit + "_64x64.png");
      const auto actual = FitImage(image, 64, 64, FitOf(fit));
      ASSERT_TRUE(actual.ok());
      EXPECT_EQ(actual->pixels, expected.pixels) << source << " " << fit;
    }
  }
}

TEST(Preprocess, ValuesAreLevelsOver255) {
  const Image image = GoldenImage("preprocess/37x61.png");
  const auto fitted = FitImage(image, 128, 64, Fit::kPad);
  const auto tensor = Preprocess(image, 128, 64, Fit::kPad);
  ASSERT_TRUE(fitted.ok() && tensor.ok());
  ASSERT_EQ(tensor->height, 128);
  ASSERT_EQ(tensor->width, 64);
  ASSERT_EQ(tensor->values.size(), 128u * 64 * 3);
  for (size_t i = 0; i < tensor->values.size(); ++i) {
    ASSERT_EQ(tensor->values[i], static_cast<float>(fitted->pixels[i]) / 255.0f);
  }
}

// Padded squares of 2.7 and 4.8 GB are not stored; nor is what a crop does not show.
TEST(FitImage, ExtremeShapesNeedNoExtremeMemory) {
  for (const auto& [width, height] : {std::pair(30'000, 10), std::pair(30, 40'000)}) {
    Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3, 255)};
    for (Fit fit : {Fit::kPad, Fit::kCrop, Fit::kStretch}) {
      const auto fitted = FitImage(image, 64, 64, fit);
      ASSERT_TRUE(fitted.ok()) << fitted.status().message();
      const size_t corner = 0;
      const size_t center = (size_t{32} * 64 + 32) * 3;
      EXPECT_EQ(fitted->pixels[corner], fit == Fit::kPad ? 0 : 255);
      EXPECT_GE(fitted->pixels[center], fit == Fit::kPad ? 1 : 255);
    }
  }
}

TEST(FitImage, RefusesWhatItCannotDo) {
  const Image image{2, 2, std::vector<uint8_t>(12)};
  for (const auto& [height, width] : {std::pair(0, 64), std::pair(64, -1), std::pair(20'000, 64)}) {
    EXPECT_EQ(FitImage(image, height, width, Fit::kPad).status().code(),
              StatusCode::kInvalidArgument);
  }
  const Image short_buffer{2, 2, std::vector<uint8_t>(11)};
  EXPECT_EQ(Preprocess(short_buffer, 64, 64, Fit::kPad).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Preprocess(Image(), 64, 64, Fit::kPad).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fastvlm
