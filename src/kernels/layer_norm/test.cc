#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/layer_norm/layer_norm.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

class LayerNormTest : public ::testing::TestWithParam<LayerNormVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

constexpr double kUnit = 0x1p-24;
constexpr float kEps = 1e-5f;

TEST_P(LayerNormTest, MatchesDoubleAndStaysInItsRows) {
  TestRandom random;
  for (int64_t channels :
       {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 61, 257, 768, 896, 1536, 3584}) {
    for (float offset : {0.0f, 100.0f}) {
      for (bool in_place : {false, true}) {
        const int64_t rows = 3;
        const size_t size = static_cast<size_t>(rows * channels);
        GuardedBuffer<float> gain(static_cast<size_t>(channels));
        GuardedBuffer<float> bias(static_cast<size_t>(channels));
        GuardedBuffer<float> x(size);
        GuardedBuffer<float> y(size);
        random.Fill(gain.data(), gain.size(), -2, 2);
        random.Fill(bias.data(), bias.size(), -2, 2);
        random.Fill(x.data(), size, offset - 3, offset + 3);
        const std::vector<float> input(x.data(), x.data() + size);
        float* out = in_place ? x.data() : y.data();
        GetParam().fn(x.data(), rows, channels, gain.data(), bias.data(), kEps, out);
        for (int64_t i = 0; i < rows; ++i) {
          const float* row = input.data() + i * channels;
          double mean = 0;
          double largest = 0;
          for (int64_t c = 0; c < channels; ++c) {
            mean += row[c] / static_cast<double>(channels);
            largest = std::max(largest, std::abs(double{row[c]}));
          }
          double variance = 0;
          for (int64_t c = 0; c < channels; ++c) {
            variance += (row[c] - mean) * (row[c] - mean) / static_cast<double>(channels);
          }
          const double deviation = std::sqrt(variance + kEps);
          for (int64_t c = 0; c < channels; ++c) {
            const size_t at = static_cast<size_t>(c);
            const double normal = (row[c] - mean) / deviation;
            const double expected = normal * gain[at] + bias[at];
            const double terms = static_cast<double>(channels) / 16 + 8;
            const double tolerance =
                2 * terms * kUnit * (largest / deviation + std::abs(normal)) * std::abs(gain[at]) +
                2 * kUnit * std::abs(expected);
            ASSERT_NEAR(out[i * channels + c], expected, tolerance)
                << channels << " channels, offset " << offset << ", row " << i << ", " << c;
          }
        }
      }
    }
  }
}

TEST_P(LayerNormTest, InfinityAndNanFillTheirRowOnly) {
  for (float special : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (size_t at : {0u, 18u}) {
      GuardedBuffer<float> x(3 * 19);
      GuardedBuffer<float> y(3 * 19);
      const std::vector<float> ones(19, 1.0f);
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
      x[19 + at] = special;
      GetParam().fn(x.data(), 3, 19, ones.data(), ones.data(), kEps, y.data());
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 19 == 1) << i;
    }
  }
}

TEST_P(LayerNormTest, ConstantRowGivesTheBias) {
  const std::vector<float> x(40, 0.5f);
  const std::vector<float> gain(40, 3.0f);
  const std::vector<float> bias(40, -1.25f);
  GuardedBuffer<float> y(40);
  GetParam().fn(x.data(), 1, 40, gain.data(), bias.data(), kEps, y.data());
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(y[i], -1.25f);
}

INSTANTIATE_TEST_SUITE_P(Variants, LayerNormTest,
                         ::testing::ValuesIn(LayerNormVariants().begin(),
                                             LayerNormVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(LayerNormDispatch, ForcedIsaRuns) {
  const std::vector<float> x(40, 1.0f), gain(40, 2.0f);
  std::vector<float> y(40);
  ExpectForcedIsaRuns(LayerNormVariants(), BestLayerNorm, [&](const LayerNormVariant& variant) {
    variant.fn(x.data(), 1, 40, gain.data(), gain.data(), kEps, y.data());
  });
}

}  // namespace
}  // namespace fastvlm
