// 8-bit weights in the layout of a variant of the kernel.
#ifndef FASTVLM_KERNELS_GEMM_Q8_PACK_H_
#define FASTVLM_KERNELS_GEMM_Q8_PACK_H_

#include <cstdint>

#include "kernels/gemm_shared/quantized_variant.h"

namespace fastvlm {

// Quantizes w, [k], as base/quant_block.h has it, and makes it column `column` of a panel: ceil(k /
// 32) blocks, the last one filled up with zeros.
void PackColumnQ8(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel);
// The same from `blocks` blocks of Q8_0, which are taken as they are.
void PackColumnQ8Blocks(const uint8_t* stored, int64_t blocks, int64_t column,
                        const GemmQuantizedVariant& variant, uint8_t* panel);

// Gives each two neighbouring blocks of `count` columns of a panel, [blocks] with blocks even, the
// greater of their scales: the values of the other one are rounded to it. Columns whose scales are
// equal stay as they are.
void ShareScalesOfPairs(int64_t blocks, int64_t count, const GemmQuantizedVariant& variant,
                        uint8_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q8_PACK_H_
