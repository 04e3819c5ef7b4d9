// What the kernels over quantized weights (gemm_q8, gemm_q4) are called with. Only plain types:
// this header is compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_H_
#define FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_H_

#include <cstdint>

#include "base/quant_block.h"
#include "kernels/gemm_shared/output.h"

namespace fastvlm {

// With b counting blocks of the depth, in ascending order,
//   sum[i,j] = fma over b of (float)(sum_p qx[i,p] qw[p,j]) * (sx[i,b] * sw[b,j])
// The inner sum is of integers and exact. The product of the scales is rounded to f32, and each
// step is one fused multiply-add, of which the first adds to `start`. So every instruction set
// gives the same bits before the activation. GELU adds an absolute error of 7e-5 + 4e-7 |argument|
// at most.
struct GemmQuantizedArgs : GemmOutput {
  int64_t blocks = 0;  // depth / kQuantBlock
  // Quantized rows as kernels/quantize_rows/args.h has them, in tiles of the variant's tile_m rows
  // and values of its x_bytes; a tile begins x_stride bytes after the one before it.
  const uint8_t* x = nullptr;
  int64_t x_stride = 0;
  // Panels of tile_n columns, [blocks] of block_bytes each, as the kernel's pack.h has them; a
  // panel begins panel_stride bytes after the one before it.
  const uint8_t* weights = nullptr;
  int64_t panel_stride = 0;
  // What is likely to be read after the weights, laid out like them: fetched ahead of its use.
  const uint8_t* next = nullptr;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_H_
