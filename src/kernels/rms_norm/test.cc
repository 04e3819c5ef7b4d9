#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/rms_norm/rms_norm.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class RmsNormTest : public ::testing::TestWithParam<RmsNormVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

constexpr double kUnit = 0x1p-24;
constexpr float kEps = 1e-6f;

TEST_P(RmsNormTest, MatchesDoubleAndStaysInItsRows) {
  TestRandom random;
  for (int64_t hidden : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 257, 768, 896, 1536, 3584}) {
    for (float magnitude : {1e-4f, 3.0f, 1e6f}) {
      for (bool in_place : {false, true}) {
        const int64_t rows = 3;
        const size_t size = static_cast<size_t>(rows * hidden);
        GuardedBuffer<float> gain(static_cast<size_t>(hidden));
        GuardedBuffer<float> x(size);
        GuardedBuffer<float> y(size);
        random.Fill(gain.data(), gain.size(), -2, 2);
        random.Fill(x.data(), size, -magnitude, magnitude);
        const std::vector<float> input(x.data(), x.data() + size);
        float* out = in_place ? x.data() : y.data();
        GetParam().fn(x.data(), rows, hidden, gain.data(), kEps, out);
        for (int64_t i = 0; i < rows; ++i) {
          const float* row = input.data() + i * hidden;
          double squares = 0;
          for (int64_t c = 0; c < hidden; ++c) squares += double{row[c]} * row[c];
          const double root = std::sqrt(squares / static_cast<double>(hidden) + kEps);
          for (int64_t c = 0; c < hidden; ++c) {
            const double expected = row[c] / root * gain[static_cast<size_t>(c)];
            const double tolerance =
                (static_cast<double>(hidden) / 16 + 8) * kUnit * std::abs(expected);
            ASSERT_NEAR(out[i * hidden + c], expected, tolerance)
                << hidden << " hidden, magnitude " << magnitude << ", row " << i << ", " << c;
          }
        }
      }
    }
  }
}

TEST_P(RmsNormTest, NanFillsItsRowOnly) {
  for (size_t at : {0u, 18u}) {
    GuardedBuffer<float> x(3 * 19);
    GuardedBuffer<float> y(3 * 19);
    const std::vector<float> gain(19, 1.0f);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
    x[19 + at] = std::nanf("");
    GetParam().fn(x.data(), 3, 19, gain.data(), kEps, y.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 19 == 1) << i;
  }
}

TEST_P(RmsNormTest, ZerosAndDenormalsStayFinite) {
  for (float value : {0.0f, 1e-40f}) {
    const std::vector<float> x(21, value);
    const std::vector<float> gain(21, 1.0f);
    GuardedBuffer<float> y(21);
    GetParam().fn(x.data(), 1, 21, gain.data(), kEps, y.data());
    for (size_t i = 0; i < 21; ++i) EXPECT_NEAR(y[i], value * 1e3f, 1e-42f);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, RmsNormTest,
                         ::testing::ValuesIn(RmsNormVariants().begin(), RmsNormVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(RmsNormDispatch, ForcedIsaRuns) {
  const std::vector<float> x(40, 1.0f), gain(40, 2.0f);
  std::vector<float> y(40);
  ExpectForcedIsaRuns(RmsNormVariants(), BestRmsNorm, [&](const RmsNormVariant& variant) {
    variant.fn(x.data(), 1, 40, gain.data(), kEps, y.data());
  });
}

}  // namespace
}  // namespace fastvlm
