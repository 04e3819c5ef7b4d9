#include "ops/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

TEST(SiluMul, MatchesDoubleOnAnyThreads) {
  TestRandom random;
  for (auto [tokens, width] : {std::pair<size_t, size_t>{0, 8}, {1, 1}, {1, 4864}, {13, 4863}}) {
    std::vector<float> gate_up(2 * tokens * width), single;
    random.Fill(gate_up.data(), gate_up.size(), -20, 20);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(gate_up.size());
      std::copy(gate_up.begin(), gate_up.end(), y.data());
      SiluMul(y.data(), static_cast<int64_t>(tokens), static_cast<int64_t>(width), pool);
      for (size_t t = 0; t < tokens; ++t) {
        for (size_t i = 0; i < width; ++i) {
          const double gate = gate_up[2 * t * width + i], up = gate_up[(2 * t + 1) * width + i];
          const double expected = gate / (1 + std::exp(-gate)) * up;
          ASSERT_NEAR(y[2 * t * width + i], expected, 8 * 0x1p-24 * std::abs(expected)) << t;
          ASSERT_EQ(y[(2 * t + 1) * width + i], gate_up[(2 * t + 1) * width + i]);
        }
      }
      const std::vector<float> result(y.data(), y.data() + y.size());
      if (threads == 1) single = result;
      EXPECT_EQ(result, single) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace fastvlm
