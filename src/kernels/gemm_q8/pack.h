// Weights to 8 bits, in the layout of a variant of the kernel.
#ifndef FASTVLM_KERNELS_GEMM_Q8_PACK_H_
#define FASTVLM_KERNELS_GEMM_Q8_PACK_H_

#include <cstdint>

#include "kernels/gemm_quantized_variant.h"

namespace fastvlm {

// Quantizes w, [k], and makes it column `column` of a panel: ceil(k / 32) blocks, the last one
// filled up with zeros. Each block's scale is max |w| / 127, rounded to f16, and q = w / scale,
// rounded to the nearest: |error| <= scale / 2 where that f16 is normal (max |w| >= 0.008).
void PackColumnQ8(const float* w, int64_t k, int64_t column, const GemmQuantizedVariant& variant,
                  uint8_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_Q8_PACK_H_
