// 4-bit weights in the layout of a variant of the kernel.
#ifndef FASTVLM_KERNELS_GEMM_Q4_PACK_H_
#define FASTVLM_KERNELS_GEMM_Q4_PACK_H_

#include <cstdint>

#include "kernels/gemm_shared/quantized_variant.h"

namespace fastvlm {

// Quantizes w, [k], as base/quant_block.h has it, and makes it column `column` of a panel that was
// filled with zeros: ceil(k / 32) blocks, the last one filled up with zeros.
void PackColumnQ4(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel);
// The same from `blocks` blocks of Q4_0, which are taken as they are.
void PackColumnQ4Blocks(const uint8_t* stored, int64_t blocks, int64_t column,
                        const GemmQuantizedVariant& variant, uint8_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q4_PACK_H_
