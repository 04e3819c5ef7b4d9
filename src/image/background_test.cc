#include <gmock/gmock.h>

#include <fstream>

#include "image/alpha.h"
#include "image/image.h"
#include "image/test_files.h"

namespace fastvlm {
namespace {

// That of tests/reference/image_golden_kinds.py.
constexpr Color kBackground = {200, 50, 100};

uint64_t HashOf(std::span<const uint8_t> bytes) {
  uint64_t value = 0xcbf29ce484222325;
  for (uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3;
  return value;
}

TEST(Background, EqualsPillowsAlphaComposite) {
  std::ifstream manifest(GoldenPath("decode/background.txt"));
  std::string name;
  uint64_t hash = 0;
  int files = 0;
  while (manifest >> name >> std::hex >> hash) {
    const Image image = GoldenImage("decode/" + name, {.background = kBackground});
    EXPECT_EQ(HashOf(image.pixels), hash) << name;
    ++files;
  }
  EXPECT_GE(files, 20);
}

TEST(Background, OpaquePicturesStayAsTheyAre) {
  for (const char* name : {"rgb8.png", "grey1_interlaced.png", "palette4.png", "lossy.webp",
                           "plain.gif", "rgb24.bmp", "rgb32.bmp", "rgbx.tif", "binary8.ppm"}) {
    const Image image = GoldenImage(std::string("decode/") + name, {.background = kBackground});
    EXPECT_EQ(image.pixels, GoldenPpm(std::string("decode/") + name + ".ppm").pixels) << name;
  }
}

TEST(Background, ShowsThroughAnAvif) {
  if (!HeifSupported()) GTEST_SKIP() << "built without libheif";
  const Image image = GoldenImage("decode/half_clear.avif", {.background = kBackground});
  ASSERT_EQ(image.width, 48);
  const auto near = [&](int x, const Color& color) {
    const uint8_t* pixel = &image.pixels[(size_t{16} * 48 + static_cast<size_t>(x)) * 3];
    return std::abs(pixel[0] - color.red) <= 3 && std::abs(pixel[1] - color.green) <= 3 &&
           std::abs(pixel[2] - color.blue) <= 3;
  };
  EXPECT_TRUE(near(4, kBackground));
  EXPECT_TRUE(near(44, Color{40, 120, 200}));
}

TEST(Background, IsSeenBehindAPartOfThePictureOnly) {
  // Levels, opacities and backgrounds, and what Pillow's Image.alpha_composite makes of them.
  const struct {
    uint8_t level, alpha, background, expected;
  } cases[] = {{10, 0, 200, 200},    {10, 255, 200, 10}, {10, 128, 200, 105}, {0, 1, 255, 254},
               {255, 1, 0, 1},       {100, 77, 31, 52},  {1, 254, 255, 2},    {254, 127, 255, 255},
               {123, 200, 123, 123}, {37, 99, 211, 143}};
  for (const auto& one : cases) {
    EXPECT_EQ(Over(one.level, one.alpha, one.background), one.expected)
        << int{one.level} << " " << int{one.alpha} << " " << int{one.background};
  }
}

TEST(Background, ColoursAreRead) {
  const auto text = [](const char* name) {
    const auto color = ParseColor(name);
    return color ? fmt::format("{} {} {}", color->red, color->green, color->blue) : "none";
  };
  EXPECT_EQ(text("white"), "255 255 255");
  EXPECT_EQ(text("black"), "0 0 0");
  EXPECT_EQ(text("#0aF310"), "10 243 16");
  for (const char* wrong : {"", "#", "#fff", "#12345g", "# 12345", "#-12345", "#1234567", "red",
                            "ffffff", "White", "#+11111"}) {
    EXPECT_EQ(text(wrong), "none") << wrong;
  }
}

}  // namespace
}  // namespace fastvlm
