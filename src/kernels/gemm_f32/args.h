// What the f32 matrix multiplication kernels are called with. Only plain types: this header is
// compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_F32_ARGS_H_
#define FASTVLM_KERNELS_GEMM_F32_ARGS_H_

#include <cstdint>

namespace fastvlm {

enum class Activation { kNone, kGelu, kSilu };  // kGelu is the exact one, with erf

//   y[i,j] = residual[i,j] + scale[j] * activation(start[i,j] + sum_p x[i,p] w[p,j])
struct GemmF32Args {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  const float* x = nullptr;  // [rows, depth], row i at x + i * x_stride
  int64_t x_stride = 0;
  // Panels of tile_n columns, [depth, tile_n] each and padded with any finite values; column j is
  // in panel j / tile_n, which begins panel_stride elements after the one before it.
  const void* weights = nullptr;
  int64_t panel_stride = 0;
  // What is likely to be read after the weights, laid out like them: fetched ahead of its use.
  const void* next = nullptr;
  // What the sums begin with: row i at start + i * start_stride (0: one row for all), readable up
  // to a multiple of tile_n columns. May be y itself, with the same stride.
  const float* start = nullptr;
  int64_t start_stride = 0;
  float* y = nullptr;  // [rows, columns], row i at y + i * y_stride; must not overlap x or weights
  int64_t y_stride = 0;
  Activation activation = Activation::kNone;
  const float* scale = nullptr;     // [columns], or null for 1
  const float* residual = nullptr;  // [rows, columns], or null for 0; may be y, with its stride
  int64_t residual_stride = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F32_ARGS_H_
