// What the bf16 matrix multiplication kernels are called with. Only plain types: this header is
// compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_BF16_ARGS_H_
#define FASTVLM_KERNELS_GEMM_BF16_ARGS_H_

#include <cstdint>

#include "kernels/gemm_shared/output.h"

namespace fastvlm {

// sum[i,j] = sum_p x[i,p] w[p,j] over 2 * pairs values; the output's formula says what follows.
struct GemmBf16Args : GemmOutput {
  int64_t pairs = 0;  // depth / 2, rounded up: the last pair of an odd depth ends with a zero
  const uint16_t* x = nullptr;  // [rows, 2 * pairs] bf16, row i at x + i * x_stride
  int64_t x_stride = 0;
  // Panels of tile_n columns, [pairs, tile_n, 2] bf16 each and padded with zeros; column j is in
  // panel j / tile_n, which begins panel_stride elements after the one before it.
  const uint16_t* weights = nullptr;
  int64_t panel_stride = 0;
  // What is likely to be read after the weights, laid out like them: fetched ahead of its use.
  const uint16_t* next = nullptr;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_BF16_ARGS_H_
