// The gate of a SwiGLU feed-forward network.
//   y = gate / (1 + exp(-gate)) * up
// Source: Qwen2MLP of transformers (modeling_qwen2.py) with hidden_act silu.
#ifndef FASTVLM_KERNELS_SILU_MUL_SILU_MUL_H_
#define FASTVLM_KERNELS_SILU_MUL_SILU_MUL_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// gate, up, y: [count] f32; y may be gate or up but may not overlap them otherwise.
// |error| <= 8 * 2^-24 |y| + 1e-36 |up|: gates below -88 give 0. NaN in, NaN out; a gate of -inf
// gives NaN as in torch.
using SiluMulFn = void (*)(const float* gate, const float* up, int64_t count, float* y);

struct SiluMulVariant {
  std::string_view name;
  Isa isa;
  SiluMulFn fn;
};

std::span<const SiluMulVariant> SiluMulVariants();  // best first
const SiluMulVariant& BestSiluMul();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_SILU_MUL_SILU_MUL_H_
