#include "image/orientation.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/random.h"

namespace fastvlm {
namespace {

// A directory at `offset` with one entry before the orientation.
std::vector<uint8_t> Exif(uint8_t orientation, bool big_endian) {
  std::vector<uint8_t> bytes;
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes.push_back(static_cast<uint8_t>(value >> 8 * (big_endian ? size - 1 - i : i)));
    }
  };
  const auto entry = [&](uint32_t tag, uint32_t value) {
    put(tag, 2), put(3, 2), put(1, 4), put(value, 2), put(0, 2);
  };
  bytes.assign(2, big_endian ? 'M' : 'I');
  put(42, 2), put(8, 4), put(2, 2);
  entry(0x0100, 5), entry(0x0112, orientation);
  put(0, 4);
  return bytes;
}

TEST(ReadExifOrientation, BothByteOrdersWithAndWithoutPrefix) {
  for (bool big_endian : {false, true}) {
    for (int value = 1; value <= 8; ++value) {
      std::vector<uint8_t> exif = Exif(static_cast<uint8_t>(value), big_endian);
      EXPECT_EQ(ReadExifOrientation(exif), value);
      const std::vector<uint8_t> prefix = {'E', 'x', 'i', 'f', 0, 0};
      exif.insert(exif.begin(), prefix.begin(), prefix.end());
      EXPECT_EQ(ReadExifOrientation(exif), value);
    }
  }
}

TEST(ReadExifOrientation, ValuesOutsideTheStandardAreUpright) {
  EXPECT_EQ(ReadExifOrientation(Exif(0, false)), 1);
  EXPECT_EQ(ReadExifOrientation(Exif(9, true)), 1);
}

TEST(ReadExifOrientation, PrefixesAndDamageAreUprightOrAValue) {
  TestRandom random;
  for (bool big_endian : {false, true}) {
    const std::vector<uint8_t> exif = Exif(6, big_endian);
    for (size_t size = 0; size < exif.size(); ++size) {
      const std::vector<uint8_t> part(exif.begin(),
                                      exif.begin() + static_cast<std::ptrdiff_t>(size));
      // The two entries end 4 bytes before the end of the block.
      EXPECT_EQ(ReadExifOrientation(part).value_or(1), size >= exif.size() - 4 ? 6 : 1) << size;
    }
    for (int round = 0; round < 20'000; ++round) {
      std::vector<uint8_t> damaged = exif;
      for (int i = 0; i < 4; ++i) {
        damaged[static_cast<size_t>(random.Integer(0, static_cast<int>(damaged.size()) - 1))] =
            static_cast<uint8_t>(random.Integer(0, 255));
      }
      const int value = ReadExifOrientation(damaged).value_or(1);
      EXPECT_TRUE(value >= 1 && value <= 8);
    }
  }
}

// The corners of a 3 x 2 picture, numbered in reading order, where EXIF says they are shown.
TEST(ApplyOrientation, MovesPixelsAsTheStandardSays) {
  const std::vector<std::vector<uint8_t>> expected = {
      {1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1}, {4, 5, 6, 1, 2, 3},
      {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3}, {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    Image image{3, 2, {}};
    for (uint8_t i = 1; i <= 6; ++i) image.pixels.insert(image.pixels.end(), 3, i);
    const Image result = ApplyOrientation(image, orientation);
    EXPECT_EQ(result.width, orientation >= 5 ? 2 : 3);
    EXPECT_EQ(result.height, orientation >= 5 ? 3 : 2);
    std::vector<uint8_t> firsts;
    for (size_t i = 0; i < result.pixels.size(); i += 3) firsts.push_back(result.pixels[i]);
    EXPECT_EQ(firsts, expected[static_cast<size_t>(orientation) - 1]) << orientation;
  }
}

TEST(ApplyOrientation, InversesUndoEachOtherBeyondOneBlock) {
  TestRandom random;
  Image image{75, 41, std::vector<uint8_t>(75 * 41 * 3)};
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.Integer(0, 255));
  constexpr int kInverse[9] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image back =
        ApplyOrientation(ApplyOrientation(image, orientation), kInverse[orientation]);
    EXPECT_EQ(back.width, image.width);
    EXPECT_EQ(back.pixels, image.pixels) << orientation;
  }
}

}  // namespace
}  // namespace fastvlm
