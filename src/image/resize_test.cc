#include "image/resize.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace fastvlm {
namespace {

Image RandomImage(TestRandom& random, int width, int height) {
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
  for (uint8_t& value : image.pixels) {
    // Half of the values at the ends of the range, so that overshoot is clipped.
    const int level = random.Integer(-128, 383);
    value = static_cast<uint8_t>(std::clamp(level, 0, 255));
  }
  return image;
}

ResizeAxis Whole(int source, int target) { return {source, 0, target, 0, target}; }

Image Crop(const Image& image, int left, int top, int width, int height) {
  Image result{width, height, {}};
  for (int y = top; y < top + height; ++y) {
    const auto row =
        image.pixels.begin() + (static_cast<std::ptrdiff_t>(y) * image.width + left) * 3;
    result.pixels.insert(result.pixels.end(), row, row + std::ptrdiff_t{width} * 3);
  }
  return result;
}

// The image pasted on black, really stored.
Image Paste(const Image& image, int left, int top, int width, int height) {
  Image result{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(image.pixels.begin() + std::ptrdiff_t{y} * image.width * 3, image.width * 3,
                result.pixels.begin() + (std::ptrdiff_t{y + top} * width + left) * 3);
  }
  return result;
}

TEST(ResizeBicubic, SameSizeIsACopy) {
  TestRandom random;
  const Image image = RandomImage(random, 37, 21);
  EXPECT_EQ(ResizeBicubic(image, Whole(37, 37), Whole(21, 21)).pixels, image.pixels);
}

TEST(ResizeBicubic, VirtualCanvasEqualsAStoredOne) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    const int width = random.Integer(1, 90);
    const int height = random.Integer(1, 90);
    const int left = random.Integer(0, 50);
    const int top = random.Integer(0, 50);
    const int canvas_width = left + width + random.Integer(0, 50);
    const int canvas_height = top + height + random.Integer(0, 50);
    const int out_width = random.Integer(1, 100);
    const int out_height = random.Integer(1, 100);
    const Image image = RandomImage(random, width, height);
    const Image expected =
        ResizeBicubic(Paste(image, left, top, canvas_width, canvas_height),
                      Whole(canvas_width, out_width), Whole(canvas_height, out_height));
    const Image actual = ResizeBicubic(image, {canvas_width, left, out_width, 0, out_width},
                                       {canvas_height, top, out_height, 0, out_height});
    ASSERT_EQ(actual.pixels, expected.pixels) << width << "x" << height << " round " << round;
  }
}

TEST(ResizeBicubic, PartOfTheResultEqualsTheCroppedWhole) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    const Image image = RandomImage(random, random.Integer(1, 90), random.Integer(1, 90));
    const int width = random.Integer(1, 120);
    const int height = random.Integer(1, 120);
    const int left = random.Integer(0, width - 1);
    const int top = random.Integer(0, height - 1);
    const int part_width = random.Integer(1, width - left);
    const int part_height = random.Integer(1, height - top);
    const Image whole =
        ResizeBicubic(image, Whole(image.width, width), Whole(image.height, height));
    const Image part = ResizeBicubic(image, {image.width, 0, width, left, part_width},
                                     {image.height, 0, height, top, part_height});
    ASSERT_EQ(part.pixels, Crop(whole, left, top, part_width, part_height).pixels);
  }
}

TEST(ResizeBicubic, DoesNotDependOnThreads) {
  TestRandom random;
  const Image image = RandomImage(random, 301, 517);
  const Image expected = ResizeBicubic(image, Whole(301, 256), Whole(517, 200));
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    const Image actual = ResizeBicubic(image, Whole(301, 256), Whole(517, 200), &pool);
    EXPECT_EQ(actual.pixels, expected.pixels) << threads;
  }
}

TEST(ResizeBicubic, FlatImagesStayFlat) {
  for (uint8_t level : {uint8_t{0}, uint8_t{1}, uint8_t{128}, uint8_t{255}}) {
    Image image{5000, 3, std::vector<uint8_t>(5000 * 3 * 3, level)};
    const Image result = ResizeBicubic(image, Whole(5000, 7), Whole(3, 50));
    EXPECT_EQ(result.pixels, std::vector<uint8_t>(7 * 50 * 3, level));
  }
}

}  // namespace
}  // namespace fastvlm
