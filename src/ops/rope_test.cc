#include "ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

// Against the exact rotation, in double. The angle's f32 roundings, one each of the power, of its
// inverse and of the product, and one of the exponent, which the power magnifies by ln theta, turn
// an element by at most (3 + ln theta * exponent) * 2^-24 * angle.
TEST(Rope, MatchesDouble) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t head_dim : {2, 8, 16, 64, 80, 128}) {
    const RopeTable table(head_dim, 1e6, 33000);
    for (int64_t start : {0, 1, 4095, 32767}) {
      const int64_t tokens = 150;
      const int64_t heads = 2;
      const int64_t stride = heads * head_dim + 3;
      GuardedBuffer<float> x(static_cast<size_t>(tokens * stride - 3));
      random.Fill(x.data(), x.size(), -3, 3);
      const std::vector<float> input(x.data(), x.data() + x.size());
      ApplyRope(table, x.data(), tokens, stride, heads, start, pool);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t at = t * stride; at < t * stride + heads * head_dim; ++at) {
          const int64_t d = (at - t * stride) % head_dim;
          const int64_t half = head_dim / 2;
          const int64_t i = d % half;
          const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
          const double angle = static_cast<double>(start + t) * std::pow(1e6, -exponent);
          const double first = input[static_cast<size_t>(at - d + i)];
          const double second = input[static_cast<size_t>(at - d + i + half)];
          const double expected = d < half ? first * std::cos(angle) - second * std::sin(angle)
                                           : second * std::cos(angle) + first * std::sin(angle);
          const double tolerance =
              ((3 + std::log(1e6) * exponent) * angle + 4) * 0x1p-24 * std::hypot(first, second);
          ASSERT_NEAR(x[static_cast<size_t>(at)], expected, tolerance)
              << "head_dim " << head_dim << ", position " << start + t << ", element " << d;
        }
        if (t + 1 < tokens) {
          EXPECT_EQ(x[static_cast<size_t>((t + 1) * stride - 1)],
                    input[static_cast<size_t>((t + 1) * stride - 1)]);
        }
      }
    }
  }
}

TEST(Rope, DoesNotDependOnThreadsOrPieces) {
  TestRandom random;
  const RopeTable table(64, 1e6, 400);
  std::vector<float> input(static_cast<size_t>(400 * 2 * 64));
  random.Fill(input.data(), input.size(), -3, 3);
  ThreadPool one(1);
  std::vector<float> expected = input;
  for (int64_t t = 0; t < 400; ++t) {
    ApplyRope(table, expected.data() + t * 128, 1, 128, 2, t, one);
  }
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    std::vector<float> x = input;
    ApplyRope(table, x.data(), 400, 128, 2, 0, pool);
    EXPECT_EQ(x, expected) << threads << " threads";
  }
}

// What the torch of the published models computes: f32 inverse frequencies and f32 angles.
TEST(RopeTable, RoundsAsTorchDoes) {
  const RopeTable table(64, 1e6, 32768);
  const float inverse = 1.0f / static_cast<float>(std::pow(1e6, 6.0f / 64.0f));
  const float angle = 32767.0f * inverse;
  EXPECT_NEAR(table.Rows(32767)[3], std::cos(double{angle}), 1e-7);
  EXPECT_NEAR(table.Rows(32767)[32 + 3], std::sin(double{angle}), 1e-7);
}

}  // namespace
}  // namespace fastvlm
