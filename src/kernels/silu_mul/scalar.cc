#include <cmath>

#include "kernels/silu_mul/silu_mul.h"

namespace fastvlm::scalar {

void SiluMul(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

}  // namespace fastvlm::scalar
