// 32 values that share an f16 scale: the blocks Q8_0 and Q4_0 of GGML.
#ifndef FASTVLM_BASE_QUANT_BLOCK_H_
#define FASTVLM_BASE_QUANT_BLOCK_H_

#include <cstdint>

namespace fastvlm {

inline constexpr int64_t kQuantBlock = 32;  // values along the depth that share a scale

// The size of a block in a file. Q8_0 holds the scale and then the 32 integers q. Q4_0 holds the
// scale and then 16 bytes: their low four bits are q + 8 of the first 16 values, their high four
// bits are q + 8 of the other 16.
inline constexpr int64_t kQ8BlockBytes = 34;
inline constexpr int64_t kQ4BlockBytes = 18;

// Both quantize x, [count] with 1 <= count <= 32, to the integers q, [32], which are zeros from
// `count` on, and return the scale as f16: x is about scale * q. NaN becomes 0.
//
// The scale is max |x| / 127, rounded to f16, and q = x / scale, rounded to the nearest of
// -127..127: |error| <= scale / 2 where that f16 is normal (max |x| >= 0.008).
uint16_t QuantizeBlockQ8(const float* x, int64_t count, int8_t* q);
// The scale is -1/8 of the value of greatest magnitude, rounded to f16, so that this value becomes
// q = -8 and loses nothing else. q = x / scale, rounded to the nearest of -8..7.
uint16_t QuantizeBlockQ4(const float* x, int64_t count, int8_t* q);

}  // namespace fastvlm

#endif  // FASTVLM_BASE_QUANT_BLOCK_H_
