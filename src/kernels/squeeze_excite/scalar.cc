#include <cmath>

#include "kernels/squeeze_excite/squeeze_excite.h"

namespace fastvlm::scalar {

void ChannelMean(const float* x, int64_t pixels, int64_t channels, int64_t stride, float* mean) {
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t p = 0; p < pixels; ++p) sum += x[p * stride + c];
    mean[c] = static_cast<float>(sum / static_cast<double>(pixels));
  }
}

void ExciteRows(const float* weight, const float* bias, const float* in, int64_t rows,
                int64_t columns, SqueezeExciteActivation activation, float* out) {
  for (int64_t i = 0; i < rows; ++i) {
    float sum = bias[i];
    for (int64_t j = 0; j < columns; ++j) sum += weight[i * columns + j] * in[j];
    if (activation == SqueezeExciteActivation::kRelu) {
      out[i] = sum < 0 ? 0.0f : sum;
    } else {
      out[i] = 1.0f / (1.0f + std::exp(-sum));
    }
  }
}

void ScaleGelu(float* x, int64_t pixels, int64_t channels, int64_t stride, const float* scale) {
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      const float v = x[p * stride + c] * scale[c];
      x[p * stride + c] = 0.5f * v * (1.0f + std::erf(v * 0.70710678f));
    }
  }
}

}  // namespace fastvlm::scalar
