// Keys and values that the cache holds in fewer bits, brought back to f32 for attention_f32.
//   f16:    y[i] = x[i]
//   panels: x is [rows, kAttentionPanel] of 8 bits
//     by lane: y[r,l] = x[r,l] * scale[l]      keys: a lane is a token
//     by row:  y[r,l] = x[r,l] * scale[r]      values: a row is a token
// Exact for f16; one rounding for 8 bits, the same on every instruction set.
#ifndef FASTVLM_KERNELS_KV_WIDEN_KV_WIDEN_H_
#define FASTVLM_KERNELS_KV_WIDEN_KV_WIDEN_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// x and y do not overlap. count is a multiple of kAttentionPanel (attention_f32.h).
struct KvWidenVariant {
  std::string_view name;
  Isa isa;
  void (*f16)(const uint16_t* x, int64_t count, float* y);
  void (*int8_by_lane)(const int8_t* x, const float* scale, int64_t rows, float* y);
  void (*int8_by_row)(const int8_t* x, const float* scale, int64_t rows, float* y);
};

std::span<const KvWidenVariant> KvWidenVariants();  // best first
const KvWidenVariant& BestKvWiden();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_KV_WIDEN_KV_WIDEN_H_
