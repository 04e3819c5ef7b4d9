// What every matrix multiplication kernel does with its sums. Only plain types: this header is
// compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_OUTPUT_H_
#define FASTVLM_KERNELS_GEMM_SHARED_OUTPUT_H_

#include <cstdint>

namespace fastvlm {

enum class Activation { kNone, kGelu, kSilu };  // kGelu is the exact one, with erf

//   y[i,j] = residual[i,j] + scale[j] * activation(start[i,j] + sum[i,j])
struct GemmOutput {
  int64_t rows = 0;
  int64_t columns = 0;
  // What the sums begin with: row i at start + i * start_stride (0: one row for all), readable up
  // to a multiple of tile_n columns. May be y itself, with the same stride.
  const float* start = nullptr;
  int64_t start_stride = 0;
  float* y = nullptr;  // [rows, columns], row i at y + i * y_stride; must not overlap the operands
  int64_t y_stride = 0;
  Activation activation = Activation::kNone;
  const float* scale = nullptr;     // [columns], or null for 1
  const float* residual = nullptr;  // [rows, columns], or null for 0; may be y, with its stride
  int64_t residual_stride = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_OUTPUT_H_
