// What the scalar matrix multiplication kernels do with a sum: the output's formula in plain code.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_SCALAR_H_
#define FASTVLM_KERNELS_GEMM_SHARED_SCALAR_H_

#include <cmath>

#include "kernels/gemm_shared/output.h"

namespace fastvlm::scalar {

inline float Activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return 0.5f * x * (1 + std::erf(x * 0.70710678f));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

// sum: of row i and column j, the start among it.
inline void Finish(const GemmOutput& output, int64_t i, int64_t j, float sum) {
  float y = Activate(output.activation, sum);
  if (output.scale != nullptr) y *= output.scale[j];
  if (output.residual != nullptr) y += output.residual[i * output.residual_stride + j];
  output.y[i * output.y_stride + j] = y;
}

}  // namespace fastvlm::scalar

#endif  // FASTVLM_KERNELS_GEMM_SHARED_SCALAR_H_
