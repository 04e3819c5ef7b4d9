#include "ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

TEST(SiluMul, MatchesDoubleOnAnyThreads) {
  TestRandom random;
  for (size_t count : {size_t{0}, size_t{1}, size_t{4864}, size_t{50001}}) {
    std::vector<float> gate(count), up(count);
    random.Fill(gate.data(), count, -20, 20);
    random.Fill(up.data(), count, -5, 5);
    std::vector<float> single;
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(count);
      SiluMul(gate.data(), up.data(), static_cast<int64_t>(count), y.data(), pool);
      for (size_t i = 0; i < count; ++i) {
        const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
        ASSERT_NEAR(y[i], expected, 8 * 0x1p-24 * std::abs(expected)) << i << " of " << count;
      }
      const std::vector<float> result(y.data(), y.data() + count);
      if (threads == 1) single = result;
      EXPECT_EQ(result, single) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace fastvlm
