// Weights to 4 bits, in the layout of a variant of the kernel.
#ifndef FASTVLM_KERNELS_GEMM_Q4_PACK_H_
#define FASTVLM_KERNELS_GEMM_Q4_PACK_H_

#include <cstdint>

#include "kernels/gemm_quantized_variant.h"

namespace fastvlm {

// Quantizes w, [k], and makes it column `column` of a panel that was filled with zeros: ceil(k /
// 32) blocks, the last one filled up with zeros. Each block's scale is -1/8 of its value of
// greatest magnitude, so that this value is met exactly, rounded to f16; q = w / scale, rounded to
// the nearest of -8..7.
void PackColumnQ4(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q4_PACK_H_
