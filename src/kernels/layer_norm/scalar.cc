#include <cmath>

#include "kernels/layer_norm/layer_norm.h"

namespace fastvlm::scalar {

void LayerNorm(const float* x, int64_t rows, int64_t channels, const float* gain, const float* bias,
               float eps, float* y) {
  for (int64_t i = 0; i < rows; ++i, x += channels, y += channels) {
    double sum = 0;
    for (int64_t c = 0; c < channels; ++c) sum += x[c];
    const double mean = sum / static_cast<double>(channels);
    double squares = 0;
    for (int64_t c = 0; c < channels; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const double variance = squares / static_cast<double>(channels);
    const double inverse = 1.0 / std::sqrt(variance + eps);
    for (int64_t c = 0; c < channels; ++c) {
      y[c] = static_cast<float>((x[c] - mean) * inverse * gain[c] + bias[c]);
    }
  }
}

}  // namespace fastvlm::scalar
