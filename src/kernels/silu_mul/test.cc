#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/silu_mul/silu_mul.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class SiluMulTest : public ::testing::TestWithParam<SiluMulVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

void ExpectMatchesDouble(const SiluMulVariant& variant, const std::vector<float>& gate,
                         const std::vector<float>& up, int alias) {
  const size_t count = gate.size();
  GuardedBuffer<float> g(count);
  GuardedBuffer<float> u(count);
  GuardedBuffer<float> y(count);
  std::copy(gate.begin(), gate.end(), g.data());
  std::copy(up.begin(), up.end(), u.data());
  GuardedBuffer<float>& out = alias == 0 ? y : alias == 1 ? g : u;
  variant.fn(g.data(), u.data(), static_cast<int64_t>(count), out.data());
  for (size_t i = 0; i < count; ++i) {
    const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
    const double tolerance = 8 * 0x1p-24 * std::abs(expected) + 1e-36 * std::abs(up[i]);
    ASSERT_NEAR(out[i], expected, tolerance) << gate[i] << " * " << up[i] << ", count " << count;
  }
}

TEST_P(SiluMulTest, MatchesDoubleAndStaysInBounds) {
  TestRandom random;
  for (int64_t count : {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 257, 4864, 4865}) {
    for (int alias : {0, 1, 2}) {
      std::vector<float> gate(static_cast<size_t>(count));
      std::vector<float> up(gate.size());
      random.Fill(gate.data(), gate.size(), -20, 20);
      random.Fill(up.data(), up.size(), -5, 5);
      ExpectMatchesDouble(GetParam(), gate, up, alias);
    }
  }
}

TEST_P(SiluMulTest, WholeRangeOfGates) {
  std::vector<float> gate;
  for (float g = -120; g <= 120; g += 0.37f) gate.push_back(g);
  for (float g : {0.0f, 1e-40f, -1e-40f, 1e-20f, 3e38f, -3e38f}) gate.push_back(g);
  ExpectMatchesDouble(GetParam(), gate, std::vector<float>(gate.size(), 1.0f), 0);
}

TEST_P(SiluMulTest, InfinityAndNan) {
  const float inf = HUGE_VALF;
  const float nan = std::nanf("");
  const std::vector<float> gate = {nan, 1, inf, -inf, 0, 2, 3, 4, 5};
  const std::vector<float> up = {1, nan, 1, 1, inf, 1, 1, 1, inf};
  GuardedBuffer<float> y(gate.size());
  GetParam().fn(gate.data(), up.data(), static_cast<int64_t>(gate.size()), y.data());
  for (size_t i : {0u, 1u, 3u, 4u}) EXPECT_TRUE(std::isnan(y[i])) << i;
  for (size_t i : {2u, 8u}) EXPECT_EQ(y[i], inf) << i;
  for (size_t i : {5u, 6u, 7u}) EXPECT_TRUE(std::isfinite(y[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Variants, SiluMulTest,
                         ::testing::ValuesIn(SiluMulVariants().begin(), SiluMulVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(SiluMulDispatch, ForcedIsaRuns) {
  const std::vector<float> x(40, 1.0f);
  std::vector<float> y(40);
  ExpectForcedIsaRuns(SiluMulVariants(), BestSiluMul, [&](const SiluMulVariant& variant) {
    variant.fn(x.data(), x.data(), 40, y.data());
  });
}

}  // namespace
}  // namespace fastvlm
