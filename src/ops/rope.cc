#include "ops/rope.h"

#include <cmath>
#include <vector>

#include "base/check.h"
#include "kernels/rope/rope.h"
#include "ops/units.h"

namespace fastvlm {

RopeTable::RopeTable(int64_t head_dim, double theta, int64_t max_positions)
    : head_dim_(head_dim), max_positions_(max_positions) {
  FASTVLM_CHECK(head_dim >= 2 && head_dim % 2 == 0 && theta > 0);
  FASTVLM_CHECK(max_positions >= 1 && max_positions <= int64_t{1} << 24);
  values_ = Buffer<float>(static_cast<size_t>(max_positions * head_dim));
  const int64_t half = head_dim / 2;
  std::vector<float> inverse_frequencies;
  for (int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    inverse_frequencies.push_back(1.0f / static_cast<float>(std::pow(theta, exponent)));
  }
  float* row = values_.data();
  for (int64_t position = 0; position < max_positions; ++position, row += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float angle =
          static_cast<float>(position) * inverse_frequencies[static_cast<size_t>(i)];
      row[i] = std::cos(angle);
      row[half + i] = std::sin(angle);
    }
  }
}

void ApplyRope(const RopeTable& table, float* x, int64_t tokens, int64_t stride, int64_t heads,
               int64_t start, ThreadPool& pool) {
  FASTVLM_CHECK(start >= 0 && tokens >= 0 && start + tokens <= table.max_positions());
  const RopeFn kernel = BestRope().fn;
  const int64_t head_dim = table.head_dim();
  const double size = static_cast<double>(tokens * heads * head_dim);
  const ProfileScope scope(pool.profile(), "rope", {3 * size, 0, 8 * size});
  ForUnits(tokens, heads * head_dim, pool, [&](int64_t first, int64_t count) {
    kernel(x + first * stride, count, stride, heads, head_dim, table.Rows(start + first));
  });
}

}  // namespace fastvlm
