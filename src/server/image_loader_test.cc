#include "server/image_loader.h"

#include <gmock/gmock.h>

#include "base/file.h"
#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

CallImage Source(std::vector<uint8_t> file) {
  CallImage source;
  source.param = "messages[0].content[0]";
  source.file = std::move(file);
  return source;
}

TEST(ImageLoader, OnlyThePixelsThatAreKeptAreCharged) {
  const std::vector<uint8_t> file = SampleBytes("demo.png");
  const auto whole = Image::FromBytes(file, "demo.png");
  ASSERT_TRUE(whole.ok());
  constexpr int64_t kKept = 64 * 32 * 3;
  ASSERT_GT(static_cast<int64_t>(whole->pixels.size()), kKept);
  ImageLoader loader({});
  const ImageUse use{{.width = 64, .height = 32}};
  for (const int64_t left : {kKept, kKept - 1}) {
    MemoryBudget budget(left);
    MemoryShare memory(budget);
    const CallImage source = Source(file);
    const std::optional<ApiError> error = loader.Load({source}, use, memory);
    EXPECT_EQ(error.has_value(), left < kKept);
    if (error.has_value()) {
      EXPECT_EQ(error->status, 413);
      continue;
    }
    EXPECT_EQ(budget.used(), kKept);
    EXPECT_EQ(source.decoded->pixels, Image::FromBytesFor(use.encode, file, "demo.png")->pixels);
  }
}

TEST(ImageLoader, TheBackgroundOfTheRequestShowsThrough) {
  const auto file = ReadBinaryFile(
      std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/image/decode/rgba8.png", 1 << 20);
  ASSERT_TRUE(file.ok());
  ImageLoader loader({});
  std::vector<std::vector<uint8_t>> seen;
  for (const std::optional<Color>& background :
       {std::optional<Color>(), std::optional(Color{255, 255, 255})}) {
    MemoryBudget budget(1 << 20);
    MemoryShare memory(budget);
    const CallImage source = Source(*file);
    ASSERT_FALSE(
        loader.Load({source}, {{.width = 8, .height = 8}, background}, memory).has_value());
    ImageOptions options;
    options.background = background;
    EXPECT_EQ(source.decoded->pixels,
              Image::FromBytesFor({.width = 8, .height = 8}, *file, "a", options)->pixels);
    seen.push_back(source.decoded->pixels);
  }
  EXPECT_NE(seen[0], seen[1]);
}

TEST(ImageLoader, WhatIsTooLargeToDecodeIsRefused) {
  ImageLoaderOptions options;
  options.image.max_decode_bytes = 1000;
  ImageLoader loader(options);
  MemoryBudget budget(1 << 24);
  MemoryShare memory(budget);
  const auto error = loader.Load({Source(SampleBytes("demo.png"))}, {{64, 64}}, memory);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->status, 400);
  EXPECT_EQ(error->code, "image_too_large");
  EXPECT_THAT(error->message, HasSubstr("messages[0].content[0]: decoding its"));
  EXPECT_EQ(budget.used(), 0);
}

}  // namespace
}  // namespace fastvlm
