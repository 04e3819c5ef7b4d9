#include <cmath>

#include "kernels/rms_norm/rms_norm.h"

namespace fastvlm::scalar {

void RmsNorm(const float* x, int64_t rows, int64_t hidden, const float* gain, float eps, float* y) {
  for (int64_t i = 0; i < rows; ++i, x += hidden, y += hidden) {
    double sum = 0;
    for (int64_t c = 0; c < hidden; ++c) sum += double{x[c]} * x[c];
    const double inverse = 1.0 / std::sqrt(sum / static_cast<double>(hidden) + eps);
    for (int64_t c = 0; c < hidden; ++c) {
      y[c] = static_cast<float>(x[c] * inverse * gain[c]);
    }
  }
}

}  // namespace fastvlm::scalar
