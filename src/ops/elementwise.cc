#include "ops/elementwise.h"

#include "kernels/silu_mul/silu_mul.h"
#include "ops/units.h"

namespace fastvlm {

void SiluMul(float* gate_up, int64_t tokens, int64_t width, ThreadPool& pool) {
  const double size = static_cast<double>(tokens * width);
  const ProfileScope scope(pool.profile(), "silu mul", {5 * size, 0, 12 * size});
  const SiluMulFn kernel = BestSiluMul().fn;
  ForUnits(tokens, width, pool, [&](int64_t first, int64_t count) {
    for (int64_t t = first; t < first + count; ++t) {
      float* gate = gate_up + 2 * t * width;
      kernel(gate, gate + width, width, gate);
    }
  });
}

}  // namespace fastvlm
