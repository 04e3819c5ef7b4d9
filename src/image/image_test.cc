#include "image/image.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>

#include "image/orientation.h"
#include "image/test_files.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

class GoldenDecode : public ::testing::TestWithParam<GoldenFile> {};

int LargestDifference(const Image& a, const Image& b) {
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return largest;
}

TEST_P(GoldenDecode, EqualsPillow) {
  const GoldenFile& file = GetParam();
  if (file.heif() && !HeifSupported()) GTEST_SKIP() << "built without libheif";
  const Image expected = GoldenPpm("decode/" + file.name + ".ppm");
  const auto actual = DecodeImage(GoldenBytes("decode/" + file.name), file.name);
  ASSERT_TRUE(actual.ok()) << actual.status().message();
  ASSERT_EQ(actual->width, expected.width);
  ASSERT_EQ(actual->height, expected.height);
  ASSERT_EQ(actual->pixels.size(), expected.pixels.size());
  EXPECT_LE(LargestDifference(*actual, expected), file.tolerance);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenDecode, ::testing::ValuesIn(GoldenFiles()),
                         [](const auto& param) {
                           std::string name = param.param.name;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST(DecodeImage, GoldenFilesCoverEveryFormat) {
  std::vector<ImageFormat> formats;
  for (const GoldenFile& file : GoldenFiles()) {
    formats.push_back(SniffImageFormat(GoldenBytes("decode/" + file.name)));
  }
  for (ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kPng, ImageFormat::kWebp,
                             ImageFormat::kGif, ImageFormat::kBmp, ImageFormat::kHeif,
                             ImageFormat::kTiff, ImageFormat::kPnm, ImageFormat::kIco}) {
    EXPECT_GE(std::ranges::count(formats, format), 4);
  }
  EXPECT_EQ(std::ranges::count(formats, ImageFormat::kUnknown), 0);
}

TEST(DecodeImage, OrientationCanBeSwitchedOff) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "decode/orientation" + std::to_string(orientation) + ".jpg";
    const Image stored = GoldenImage(name, {.orient = false});
    EXPECT_EQ(stored.pixels, GoldenPpm("decode/orientation1.jpg.ppm").pixels) << name;
    EXPECT_GT(stored.width, stored.height) << name;
  }
}

TEST(DecodeImage, HeifIsUprightWhateverTheOption) {
  if (!HeifSupported()) GTEST_SKIP() << "built without libheif";
  for (const char* name : {"decode/orientation6.heic", "decode/orientation6.avif"}) {
    const Image shown = GoldenImage(name);
    EXPECT_EQ(shown.width, 48) << name;
    EXPECT_EQ(shown.height, 64) << name;
    EXPECT_EQ(GoldenImage(name, {.orient = false}).pixels, shown.pixels) << name;
  }
}

TEST(DecodeImage, UnknownFormatNamesTheSupportedOnes) {
  const std::string text = "%PNX-1.7 not a picture";
  const auto image =
      DecodeImage({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "a.jpg");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(image.status().message(), HasSubstr("a.jpg: not an image"));
  EXPECT_THAT(image.status().message(), HasSubstr("25 50 4e 58"));
  EXPECT_THAT(image.status().message(), HasSubstr("JPEG, PNG, WebP, GIF"));
}

TEST(DecodeImage, BuildWithoutLibheifSaysSo) {
  if (HeifSupported()) GTEST_SKIP() << "built with libheif";
  const auto image = DecodeImage(GoldenBytes("decode/quality90.heic"), "a.heic");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(image.status().message(), HasSubstr("cannot read HEIC"));
}

TEST(DecodeImage, EveryFormatObeysTheLimits) {
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.heif() && !HeifSupported()) continue;
    const std::vector<uint8_t> bytes = GoldenBytes("decode/" + file.name);
    for (const ImageOptions& options :
         {ImageOptions{.max_pixels = 23 * 17 - 1}, ImageOptions{.max_side = 22},
          ImageOptions{.max_file_bytes = bytes.size() - 1}}) {
      const auto image = DecodeImage(bytes, file.name, options);
      ASSERT_FALSE(image.ok()) << file.name;
      EXPECT_EQ(image.status().code(), StatusCode::kResourceExhausted) << file.name;
      EXPECT_TRUE(image.status().message().starts_with(file.name + ": ")) << file.name;
    }
  }
}

}  // namespace

}  // namespace fastvlm
