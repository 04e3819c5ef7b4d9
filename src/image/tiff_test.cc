#include <gmock/gmock.h>

#include <map>

#include "image/image.h"
#include "image/test_files.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

void AppendLittle(uint32_t value, int bytes, Bytes* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// Tags of one number each. 16 x 16 of 8-bit grey in one strip unless `changes` say otherwise.
Bytes GreyTiff(const std::map<uint32_t, uint32_t>& changes) {
  std::map<uint32_t, uint32_t> tags = {{256, 16}, {257, 16}, {258, 8},  {259, 1},  {262, 1},
                                       {273, 8},  {277, 1},  {278, 16}, {279, 256}};
  for (const auto& [tag, value] : changes) tags[tag] = value;
  Bytes bytes = {'I', 'I', 42, 0};
  AppendLittle(8 + 256, 4, &bytes);
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<uint8_t>(i));
  AppendLittle(static_cast<uint32_t>(tags.size()), 2, &bytes);
  for (const auto& [tag, value] : tags) {
    AppendLittle(tag, 2, &bytes);
    AppendLittle(4, 2, &bytes);  // of 32 bits
    AppendLittle(1, 4, &bytes);
    AppendLittle(value, 4, &bytes);
  }
  AppendLittle(0, 4, &bytes);
  return bytes;
}

Status StatusOfTiff(const std::map<uint32_t, uint32_t>& changes, const ImageOptions& options = {}) {
  const auto image = DecodeImage(GreyTiff(changes), "scan.tif", options);
  return image.ok() ? Status() : image.status();
}

TEST(Tiff, OneOfThisTestIsRead) {
  const auto image = DecodeImage(GreyTiff({}), "scan.tif");
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_EQ(image->width, 16);
  EXPECT_EQ(image->pixels[3 * 255], 255);
  EXPECT_EQ(image->pixels[3 * 17 + 2], 17);
}

TEST(Tiff, WhatIsNotReadIsNamed) {
  // Photometric interpretation, bits, sample format, samples, compression.
  for (const std::map<uint32_t, uint32_t>& changes : {std::map<uint32_t, uint32_t>{{262, 8}},
                                                      {{258, 32}},
                                                      {{258, 12}},
                                                      {{339, 3}},
                                                      {{277, 3}, {262, 6}},
                                                      {{259, 6}},
                                                      {{259, 34712}},
                                                      {{277, 9}},
                                                      {{262, 5}}}) {
    const Status status = StatusOfTiff(changes);
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << status.message();
    EXPECT_THAT(status.message(), HasSubstr("scan.tif: unsupported TIFF: photometric"));
    EXPECT_THAT(status.message(), HasSubstr("convert it to PNG"));
  }
}

TEST(Tiff, SizesAreCheckedBeforeMemoryIsTaken) {
  EXPECT_EQ(StatusOfTiff({{256, 4'000'000'000}}).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOfTiff({{256, 900'000}, {257, 900'000}}).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOfTiff({{256, 0}}).code(), StatusCode::kDataError);
  // A tile that is far larger than the picture, and 8 samples of 16 bits.
  const ImageOptions little{.max_pixels = 1 << 16, .max_decode_bytes = 1 << 16};
  EXPECT_EQ(StatusOfTiff({{322, 65'536}, {323, 65'536}, {324, 8}, {325, 256}}, little).code(),
            StatusCode::kResourceExhausted);
  // Compressed, since libtiff takes a strip without compression for several small ones.
  const std::map<uint32_t, uint32_t> long_strip = {{256, 100}, {257, 100}, {278, 100},
                                                   {277, 8},   {258, 16},  {259, 5}};
  EXPECT_EQ(StatusOfTiff(long_strip, little).code(), StatusCode::kResourceExhausted);
}

TEST(Tiff, MissingPixelsAreAnErrorThatIsNotPrinted) {
  testing::internal::CaptureStderr();
  for (const std::map<uint32_t, uint32_t>& changes :
       {std::map<uint32_t, uint32_t>{{257, 1000}, {278, 1000}}, {{273, 100'000}}, {{259, 5}}}) {
    const Status status = StatusOfTiff(changes);
    EXPECT_EQ(status.code(), StatusCode::kDataError) << status.message();
    EXPECT_THAT(status.message(), HasSubstr("scan.tif: truncated or damaged TIFF: "));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Tiff, APaletteThatIsCutOffIsAnError) {
  const Bytes file = GoldenBytes("decode/palette8.tif");
  const auto image = DecodeImage(std::span(file).first(file.size() - 100), "scan.tif");
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.status().message(), HasSubstr("its palette cannot be read"));
}

TEST(Tiff, OrientationCanBeSwitchedOff) {
  const Image shown = GoldenImage("decode/orientation6.tif");
  const Image stored = GoldenImage("decode/orientation6.tif", {.orient = false});
  EXPECT_EQ(shown.width, stored.height);
  EXPECT_EQ(StatusOfTiff({{274, 99}}).code(), StatusCode::kOk);
}

}  // namespace
}  // namespace fastvlm
