// Quantized rows times 8-bit weights: kernels/gemm_shared/quantized.h has the formula.
// Source: Q8_0 of GGML: 32 weights share an f16 scale; w = scale * q, q in [-127, 127].
//
// A block of a panel is [32 / group][tile_n][group] bytes q + offset, then tile_n scales, f16. No
// step can overflow: |sum_p qx qw| <= 32 * 127^2. inf and NaN in a scale arise in the sum.
#ifndef FASTVLM_KERNELS_GEMM_Q8_GEMM_Q8_H_
#define FASTVLM_KERNELS_GEMM_Q8_GEMM_Q8_H_

#include <span>

#include "kernels/gemm_shared/quantized_variant.h"

namespace fastvlm {

std::span<const GemmQuantizedVariant> GemmQ8Variants();  // best first
const GemmQuantizedVariant& BestGemmQ8();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q8_GEMM_Q8_H_
