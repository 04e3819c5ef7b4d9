#include <cmath>

#include "kernels/depthwise_f32/depthwise_f32.h"

namespace fastvlm::scalar {
namespace {

float Output(const DepthwiseF32Block& b, int64_t row, int64_t column, int64_t channel) {
  float sum = b.bias[channel];
  for (int ky = 0; ky < b.kernel; ++ky) {
    const int64_t in_row = row * b.stride + ky - b.kernel / 2;
    if (in_row < 0 || in_row >= b.height) continue;
    for (int kx = 0; kx < b.kernel; ++kx) {
      const int64_t in_column = column * b.stride + kx - b.kernel / 2;
      if (in_column < 0 || in_column >= b.width) continue;
      sum += b.x[in_row * b.x_row_stride + in_column * b.x_pixel_stride + channel / b.multiplier] *
             b.weight[(ky * b.kernel + kx) * b.weight_tap_stride + channel];
    }
  }
  return b.gelu ? 0.5f * sum * (1.0f + std::erf(sum * 0.70710678f)) : sum;
}

}  // namespace

void DepthwiseF32(const DepthwiseF32Block& b) {
  const int64_t out_width = (b.width + b.stride - 1) / b.stride;
  for (int64_t row = b.row_begin; row < b.row_end; ++row) {
    for (int64_t column = 0; column < out_width; ++column) {
      for (int64_t channel = 0; channel < b.channels; ++channel) {
        b.y[row * b.y_row_stride + column * b.y_pixel_stride + channel] =
            Output(b, row, column, channel);
      }
    }
  }
}

}  // namespace fastvlm::scalar
