#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/softmax/softmax.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class SoftmaxTest : public ::testing::TestWithParam<SoftmaxVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

std::vector<double> Reference(const float* x, int64_t columns, float scale) {
  double max = -std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < columns; ++j) max = std::max(max, double{scale} * x[j]);
  std::vector<double> y(static_cast<size_t>(columns));
  double sum = 0;
  for (int64_t j = 0; j < columns; ++j)
    sum += y[static_cast<size_t>(j)] = std::exp(double{scale} * x[j] - max);
  for (double& value : y) value /= sum;
  return y;
}

TEST_P(SoftmaxTest, MatchesDoubleAndStaysInItsRows) {
  TestRandom random;
  for (int64_t columns : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 257, 1024}) {
    for (int64_t padding : {0, 3}) {
      const int64_t rows = 3;
      const int64_t stride = columns + padding;
      GuardedBuffer<float> x(static_cast<size_t>((rows - 1) * stride + columns));
      std::vector<std::vector<double>> expected;
      for (int64_t i = 0; i < rows; ++i) {
        random.Fill(x.data() + i * stride, static_cast<size_t>(columns), -30, 30);
        expected.push_back(Reference(x.data() + i * stride, columns, 0.125f));
      }
      GetParam().fn(x.data(), rows, columns, stride, 0.125f);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          EXPECT_NEAR(x[static_cast<size_t>(i * stride + j)],
                      expected[static_cast<size_t>(i)][static_cast<size_t>(j)], 1e-6)
              << columns << " columns, row " << i << ", column " << j;
        }
        for (int64_t j = columns; j < stride && i + 1 < rows; ++j) {
          EXPECT_TRUE(x.IsPoison(x[static_cast<size_t>(i * stride + j)]));
        }
      }
    }
  }
}

TEST_P(SoftmaxTest, Extremes) {
  const float inf = std::numeric_limits<float>::infinity();
  for (size_t columns : {5u, 21u}) {
    for (size_t at : {size_t{0}, columns - 1}) {
      GuardedBuffer<float> x(columns);
      const auto run = [&](float filler, float special) {
        for (size_t j = 0; j < columns; ++j) x[j] = j == at ? special : filler;
        GetParam().fn(x.data(), 1, static_cast<int64_t>(columns), static_cast<int64_t>(columns),
                      1.0f);
      };
      run(-inf, 2.0f);
      for (size_t j = 0; j < columns; ++j) EXPECT_EQ(x[j], j == at ? 1.0f : 0.0f);
      run(-1e30f, 3e38f);
      for (size_t j = 0; j < columns; ++j) EXPECT_EQ(x[j], j == at ? 1.0f : 0.0f);
      run(1.0f, inf);
      for (size_t j = 0; j < columns; ++j) EXPECT_TRUE(std::isnan(x[j]));
      run(1.0f, std::nanf(""));
      for (size_t j = 0; j < columns; ++j) EXPECT_TRUE(std::isnan(x[j]));
      run(-inf, -inf);
      for (size_t j = 0; j < columns; ++j) EXPECT_TRUE(std::isnan(x[j]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, SoftmaxTest,
                         ::testing::ValuesIn(SoftmaxVariants().begin(), SoftmaxVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(SoftmaxDispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (!CpuSupports(isa)) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestSoftmax().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

}  // namespace
}  // namespace fastvlm
