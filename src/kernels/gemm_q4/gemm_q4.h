// Quantized rows times 4-bit weights: kernels/gemm_shared/quantized.h has the formula.
// Source: Q4_0 of GGML: 32 weights share an f16 scale; w = scale * (nibble - 8).
//
// A block of a panel is [32 / group][tile_n / 2][group] bytes, then tile_n scales, f16. The low
// nibbles of a byte's place are of column c, the high ones of column c + tile_n / 2. No step can
// overflow: |sum_p qx nibble| <= 32 * 127 * 15. inf and NaN in a scale arise in the sum.
#ifndef FASTVLM_KERNELS_GEMM_Q4_GEMM_Q4_H_
#define FASTVLM_KERNELS_GEMM_Q4_GEMM_Q4_H_

#include <span>

#include "kernels/gemm_shared/quantized_variant.h"

namespace fastvlm {

std::span<const GemmQuantizedVariant> GemmQ4Variants();  // best first
const GemmQuantizedVariant& BestGemmQ4();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q4_GEMM_Q4_H_
