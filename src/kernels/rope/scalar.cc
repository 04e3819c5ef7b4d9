#include "kernels/rope/rope.h"

namespace fastvlm::scalar {

void Rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
          const float* table) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < rows; ++i) {
    const float* cosine = table + i * head_dim;
    const float* sine = cosine + half;
    for (int64_t h = 0; h < heads; ++h) {
      float* first = x + i * stride + h * head_dim;
      float* second = first + half;
      for (int64_t d = 0; d < half; ++d) {
        const float a = first[d];
        const float b = second[d];
        first[d] = a * cosine[d] - b * sine[d];
        second[d] = b * cosine[d] + a * sine[d];
      }
    }
  }
}

}  // namespace fastvlm::scalar
