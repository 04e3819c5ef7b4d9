#include <cmath>

#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm::scalar {

void StemConvF32(const StemConvF32Block& b) {
  const int64_t out_width = (b.width + 1) / 2;
  for (int64_t row = b.row_begin; row < b.row_end; ++row) {
    for (int64_t column = 0; column < out_width; ++column) {
      for (int64_t o = 0; o < b.channels; ++o) {
        float sum = b.bias[o];
        for (int64_t ky = 0; ky < 3; ++ky) {
          for (int64_t kx = 0; kx < 3; ++kx) {
            const int64_t in_row = 2 * row + ky - 1;
            const int64_t in_column = 2 * column + kx - 1;
            if (in_row < 0 || in_row >= b.height || in_column < 0 || in_column >= b.width) continue;
            for (int64_t ci = 0; ci < 3; ++ci) {
              sum += b.x[(in_row * b.width + in_column) * 3 + ci] *
                     b.weight[((ky * 3 + kx) * 3 + ci) * b.channels + o];
            }
          }
        }
        b.y[(row * out_width + column) * b.channels + o] =
            0.5f * sum * (1.0f + std::erf(sum * 0.70710678f));
      }
    }
  }
}

}  // namespace fastvlm::scalar
