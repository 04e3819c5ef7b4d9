// 32 values that share an f16 scale: the blocks Q8_0 and Q4_0 of GGML.
#ifndef FASTVLM_BASE_QUANT_BLOCK_H_
#define FASTVLM_BASE_QUANT_BLOCK_H_

#include <cstdint>

namespace fastvlm {

inline constexpr int64_t kQuantBlock = 32;  // values along the depth that share a scale

// As files hold them. Q8_0: the scale, then 32 q. Q4_0: the scale, then 16 bytes whose low nibbles
// are q + 8 of the first 16 values and whose high ones are of the others.
inline constexpr int64_t kQ8BlockBytes = 34;
inline constexpr int64_t kQ4BlockBytes = 18;

// x: [count], 1 <= count <= 32; q: [32], zeros from `count` on. Return the scale, as f16:
// x is about scale * q. NaN becomes 0.
//
// The scale is max |x| / 127, rounded to f16, and q = x / scale, rounded to the nearest of
// -127..127: |error| <= scale / 2 where that f16 is normal (max |x| >= 0.008).
uint16_t QuantizeBlockQ8(const float* x, int64_t count, int8_t* q);
// The scale is -1/8 of the value of greatest magnitude, so that this value is met exactly, rounded
// to f16, and q = x / scale, rounded to the nearest of -8..7.
uint16_t QuantizeBlockQ4(const float* x, int64_t count, int8_t* q);

}  // namespace fastvlm

#endif  // FASTVLM_BASE_QUANT_BLOCK_H_
