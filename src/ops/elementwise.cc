#include "ops/elementwise.h"

#include "kernels/silu_mul/silu_mul.h"
#include "ops/chunks.h"

namespace fastvlm {

void SiluMul(const float* gate, const float* up, int64_t count, float* y, ThreadPool& pool) {
  const SiluMulFn kernel = BestSiluMul().fn;
  ForChunks(count, 1, pool, [&](int64_t first, int64_t size) {
    kernel(gate + first, up + first, size, y + first);
  });
}

}  // namespace fastvlm
