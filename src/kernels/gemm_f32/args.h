// What the f32 matrix multiplication kernels are called with. Only plain types: this header is
// compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_F32_ARGS_H_
#define FASTVLM_KERNELS_GEMM_F32_ARGS_H_

#include <cstdint>

#include "kernels/gemm_shared/output.h"

namespace fastvlm {

// sum[i,j] = sum_p x[i,p] w[p,j]; the output's formula says what follows.
struct GemmF32Args : GemmOutput {
  int64_t depth = 0;
  const float* x = nullptr;  // [rows, depth], row i at x + i * x_stride
  int64_t x_stride = 0;
  // Panels of tile_n columns, [depth, tile_n] each and padded with any finite values; column j is
  // in panel j / tile_n, which begins panel_stride elements after the one before it.
  const void* weights = nullptr;
  int64_t panel_stride = 0;
  // What is likely to be read after the weights, laid out like them: fetched ahead of its use.
  const void* next = nullptr;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F32_ARGS_H_
