#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/softmax/softmax.h"

namespace fastvlm::scalar {

void Softmax(float* x, int64_t rows, int64_t columns, int64_t stride, float scale) {
  for (int64_t i = 0; i < rows; ++i) {
    float* row = x + i * stride;
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t j = 0; j < columns; ++j) max = std::max(max, scale * row[j]);
    double sum = 0;
    for (int64_t j = 0; j < columns; ++j) {
      row[j] = std::exp(scale * row[j] - max);
      sum += row[j];
    }
    for (int64_t j = 0; j < columns; ++j) row[j] = static_cast<float>(row[j] / sum);
  }
}

}  // namespace fastvlm::scalar
