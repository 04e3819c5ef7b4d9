#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/rope/rope.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class RopeTest : public ::testing::TestWithParam<RopeVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(RopeTest, BitsOfTheDefinitionAndNothingElse) {
  TestRandom random;
  for (int64_t head_dim : {2, 4, 6, 8, 14, 16, 18, 30, 32, 34, 48, 64, 66, 80, 128}) {
    for (int64_t heads : {1, 2, 14}) {
      const int64_t rows = 3;
      const int64_t stride = heads * head_dim + 5;
      GuardedBuffer<float> x(static_cast<size_t>((rows - 1) * stride + heads * head_dim));
      GuardedBuffer<float> table(static_cast<size_t>(rows * head_dim));
      random.Fill(x.data(), x.size(), -3, 3);
      random.Fill(table.data(), table.size(), -1, 1);
      std::vector<float> expected(x.data(), x.data() + x.size());
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t h = 0; h < heads; ++h) {
          for (int64_t d = 0; d < head_dim / 2; ++d) {
            const size_t a = static_cast<size_t>(i * stride + h * head_dim + d);
            const size_t b = a + static_cast<size_t>(head_dim / 2);
            const float c = table[static_cast<size_t>(i * head_dim + d)];
            const float s = table[static_cast<size_t>(i * head_dim + head_dim / 2 + d)];
            const float first = x[a] * c - x[b] * s;
            expected[b] = x[b] * c + x[a] * s;
            expected[a] = first;
          }
        }
      }
      GetParam().fn(x.data(), rows, stride, heads, head_dim, table.data());
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(x[i]), std::bit_cast<uint32_t>(expected[i]))
            << "head_dim " << head_dim << ", " << heads << " heads, element " << i;
      }
    }
  }
}

TEST_P(RopeTest, NanReachesItsPairOnly) {
  GuardedBuffer<float> x(2 * 22);
  const std::vector<float> table(22, 0.5f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1;
  x[22 + 3] = std::nanf("");
  GetParam().fn(x.data(), 1, 44, 2, 22, table.data());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(std::isnan(x[i]), i == 22 + 3 || i == 22 + 3 + 11) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, RopeTest,
                         ::testing::ValuesIn(RopeVariants().begin(), RopeVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(RopeDispatch, ForcedIsaRuns) {
  std::vector<float> x(64, 1.0f);
  const std::vector<float> table(64, 0.5f);
  ExpectForcedIsaRuns(RopeVariants(), BestRope, [&](const RopeVariant& variant) {
    variant.fn(x.data(), 1, 64, 1, 64, table.data());
  });
}

}  // namespace
}  // namespace fastvlm
