// Conversions between f32 (and f64) and the two 16-bit float formats, rounding to nearest even.
// These scalar functions are the definition; the vector versions in kernels are tested against
// them.
#ifndef FASTVLM_BASE_FLOAT16_H_
#define FASTVLM_BASE_FLOAT16_H_

#include <bit>
#include <cstdint>

namespace fastvlm {

// bfloat16 is the upper half of an f32: widening is exact.
inline float F32FromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

inline uint16_t Bf16FromF32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);  // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. Widening is exact.
inline float F32FromF16(uint16_t half) {
  const uint32_t sign = uint32_t{half} >> 15 << 31;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112u) << 23 | fraction << 13);
}

inline uint16_t F16FromF32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to infinity
  if (magnitude <
      0x38800000u) {  // below 2^-14: adding 0.5 lets the FPU round to a multiple of 2^-24
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

inline uint16_t F16FromF64(double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const uint64_t sign = bits >> 48 & 0x8000u;
  const uint64_t magnitude = bits & 0x7fffffffffffffffu;
  if (magnitude > 0x7ff0000000000000u) return static_cast<uint16_t>(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x40effe0000000000u) return static_cast<uint16_t>(sign | 0x7c00u);  // infinity
  if (magnitude < 0x3f10000000000000u) {  // below 2^-14: adding 2^28 rounds to 2^-24 likewise
    const double rounded = std::bit_cast<double>(magnitude) + 0x1p28;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint64_t>(rounded) - 0x41b0000000000000u));
  }
  const uint64_t odd = magnitude >> 42 & 1u;
  return static_cast<uint16_t>(sign |
                               ((magnitude - 0x3f00000000000000u + 0x1ffffffffffu + odd) >> 42));
}

}  // namespace fastvlm

#endif  // FASTVLM_BASE_FLOAT16_H_
