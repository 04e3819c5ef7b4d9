#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fastvlm {
namespace {

// Value of binary16 `bits` from the definition of the format, in double.
double HalfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31)
    return fraction ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(fraction, -24)
                       : sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(Float16, EveryHalfWidensExactlyAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const double expected = HalfValue(half);
    const float actual = F32FromF16(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << bits;
      EXPECT_TRUE(std::isnan(F32FromF16(F16FromF32(actual)))) << bits;
    } else {
      EXPECT_EQ(static_cast<double>(actual), expected) << bits;
      EXPECT_EQ(F16FromF32(actual), half) << bits;
    }
  }
}

TEST(Float16, HalfRoundsToNearestEven) {
  // Between each pair of neighbouring finite halves: a little below, at, and above the middle.
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = HalfValue(static_cast<uint16_t>(bits));
    const double high = HalfValue(static_cast<uint16_t>(bits + 1));
    const float middle = static_cast<float>((low + high) / 2);
    EXPECT_EQ(F16FromF32(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(F16FromF32(middle), bits + (bits & 1));
    EXPECT_EQ(F16FromF32(std::nextafter(middle, 1e9f)), bits + 1);
    EXPECT_EQ(F16FromF32(-middle), 0x8000 | (bits + (bits & 1)));
  }
  EXPECT_EQ(F16FromF32(65519.99f), 0x7bff);
  EXPECT_EQ(F16FromF32(65520.0f), 0x7c00);
}

// In f64 there is room right beside the middle where f32 has none.
TEST(Float16, HalfRoundsOnceFromDouble) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const double low = HalfValue(static_cast<uint16_t>(bits));
    const double middle = (low + HalfValue(static_cast<uint16_t>(bits + 1))) / 2;
    EXPECT_EQ(F16FromF64(low), bits);
    EXPECT_EQ(F16FromF64(-low), 0x8000 | bits);
    EXPECT_EQ(F16FromF64(std::nextafter(middle, 0.0)), bits);
    EXPECT_EQ(F16FromF64(middle), bits + (bits & 1));
    EXPECT_EQ(F16FromF64(std::nextafter(middle, 1e9)), bits + 1);
  }
  EXPECT_EQ(F16FromF64(std::nextafter(65520.0, 0.0)), 0x7bff);
  EXPECT_EQ(F16FromF64(65520.0), 0x7c00);
  EXPECT_EQ(F16FromF64(-std::numeric_limits<double>::infinity()), 0xfc00);
  EXPECT_TRUE(std::isnan(F32FromF16(F16FromF64(std::nan("")))));
}

TEST(Float16, EveryBf16WidensExactlyAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = F32FromBf16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(F32FromBf16(Bf16FromF32(value))));
    } else {
      EXPECT_EQ(Bf16FromF32(value), bits);
    }
  }
}

TEST(Float16, Bf16RoundsToNearestEven) {
  EXPECT_EQ(Bf16FromF32(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, even below
  EXPECT_EQ(Bf16FromF32(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, even above
  EXPECT_EQ(Bf16FromF32(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(Bf16FromF32(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace fastvlm
