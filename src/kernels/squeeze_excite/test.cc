#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/squeeze_excite/squeeze_excite.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const double kEps = std::ldexp(1.0, -24);

class SqueezeExciteTest : public ::testing::TestWithParam<SqueezeExciteVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

constexpr int64_t kSizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 192, 257};

TEST_P(SqueezeExciteTest, ChannelMean) {
  TestRandom random;
  for (int64_t pixels : {1, 2, 15, 16, 17, 37, 64, 256}) {
    for (int64_t channels : kSizes) {
      const int64_t stride = channels + pixels % 3;
      GuardedBuffer<float> x(static_cast<size_t>((pixels - 1) * stride + channels));
      GuardedBuffer<float> mean(static_cast<size_t>(channels));
      random.Fill(x.data(), x.size(), -1, 3);
      GetParam().channel_mean(x.data(), pixels, channels, stride, mean.data());
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0, magnitude = 0;
        for (int64_t p = 0; p < pixels; ++p) {
          sum += x[static_cast<size_t>(p * stride + c)];
          magnitude += std::abs(x[static_cast<size_t>(p * stride + c)]);
        }
        const double count = static_cast<double>(pixels);
        ASSERT_NEAR(mean[static_cast<size_t>(c)], sum / count,
                    kEps * (count / 16 + 17) * magnitude / count)
            << pixels << " pixels, " << channels << " channels, channel " << c;
      }
    }
  }
}

TEST_P(SqueezeExciteTest, ExciteRows) {
  TestRandom random;
  for (auto activation : {SqueezeExciteActivation::kRelu, SqueezeExciteActivation::kSigmoid}) {
    for (int64_t rows : {1, 2, 7, 8, 9, 17, 19}) {
      for (int64_t columns : kSizes) {
        GuardedBuffer<float> weight(static_cast<size_t>(rows * columns));
        GuardedBuffer<float> bias(static_cast<size_t>(rows));
        GuardedBuffer<float> in(static_cast<size_t>(columns));
        GuardedBuffer<float> out(static_cast<size_t>(rows));
        random.Fill(weight.data(), weight.size(), -1, 1);
        random.Fill(bias.data(), bias.size(), -1, 1);
        random.Fill(in.data(), in.size(), -1, 1);
        GetParam().excite_rows(weight.data(), bias.data(), in.data(), rows, columns, activation,
                               out.data());
        for (int64_t i = 0; i < rows; ++i) {
          double sum = bias[static_cast<size_t>(i)];
          double magnitude = std::abs(sum);
          for (int64_t j = 0; j < columns; ++j) {
            const double product =
                double{weight[static_cast<size_t>(i * columns + j)]} * in[static_cast<size_t>(j)];
            sum += product;
            magnitude += std::abs(product);
          }
          const bool relu = activation == SqueezeExciteActivation::kRelu;
          const double expected = relu ? std::max(sum, 0.0) : 1 / (1 + std::exp(-sum));
          const double tolerance =
              kEps * static_cast<double>(columns + 1) * magnitude + (relu ? 0 : 1e-6);
          ASSERT_NEAR(out[static_cast<size_t>(i)], expected, tolerance)
              << rows << "x" << columns << ", row " << i;
        }
      }
    }
  }
}

TEST_P(SqueezeExciteTest, ScaleGelu) {
  TestRandom random;
  for (int64_t pixels : {1, 3, 5}) {
    for (int64_t channels : kSizes) {
      const int64_t stride = channels + 2;
      GuardedBuffer<float> x(static_cast<size_t>((pixels - 1) * stride + channels));
      GuardedBuffer<float> before(x.size());
      GuardedBuffer<float> scale(static_cast<size_t>(channels));
      random.Fill(before.data(), before.size(), -6, 6);
      random.Fill(scale.data(), scale.size(), 0, 1);
      for (int64_t i = 0; i < pixels * stride - 2; ++i) {
        if (i % stride < channels) x[static_cast<size_t>(i)] = before[static_cast<size_t>(i)];
      }
      GetParam().scale_gelu(x.data(), pixels, channels, stride, scale.data());
      for (int64_t i = 0; i < pixels * stride - 2; ++i) {
        const float actual = x[static_cast<size_t>(i)];
        if (i % stride >= channels) {
          ASSERT_TRUE(x.IsPoison(actual)) << "margin";
          continue;
        }
        const double v =
            double{before[static_cast<size_t>(i)]} * scale[static_cast<size_t>(i % stride)];
        ASSERT_NEAR(actual, 0.5 * v * (1 + std::erf(v / std::sqrt(2.0))), 2e-6 * (1 + std::abs(v)));
      }
    }
  }
}

TEST_P(SqueezeExciteTest, Extremes) {
  GuardedBuffer<float> in(1), out(4), weight(4), bias(4);
  const float specials[] = {kInf, -kInf, std::nanf(""), 1e30f};
  in[0] = 1.0f;
  for (size_t i = 0; i < 4; ++i) {
    weight[i] = specials[i];
    bias[i] = 0.0f;
  }
  GetParam().excite_rows(weight.data(), bias.data(), in.data(), 4, 1,
                         SqueezeExciteActivation::kSigmoid, out.data());
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 0.0f);
  EXPECT_TRUE(std::isnan(out[2]));
  EXPECT_EQ(out[3], 1.0f);
  GetParam().excite_rows(weight.data(), bias.data(), in.data(), 4, 1,
                         SqueezeExciteActivation::kRelu, out.data());
  EXPECT_EQ(out[0], kInf);
  EXPECT_EQ(out[1], 0.0f);
  EXPECT_TRUE(std::isnan(out[2]));
  EXPECT_EQ(out[3], 1e30f);

  GuardedBuffer<float> mean(4);
  GetParam().channel_mean(weight.data(), 1, 4, 4, mean.data());
  EXPECT_EQ(mean[0], kInf);
  EXPECT_EQ(mean[1], -kInf);
  EXPECT_TRUE(std::isnan(mean[2]));
  EXPECT_EQ(mean[3], 1e30f);
}

INSTANTIATE_TEST_SUITE_P(Variants, SqueezeExciteTest,
                         ::testing::ValuesIn(SqueezeExciteVariants().begin(),
                                             SqueezeExciteVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(SqueezeExciteDispatch, ForcedIsaRuns) {
  std::vector<float> x(2 * 64, 1.0f), mean(64), out(2);
  const std::vector<float> weight(2 * 64, 1.0f);
  ExpectForcedIsaRuns(SqueezeExciteVariants(), BestSqueezeExcite,
                      [&](const SqueezeExciteVariant& variant) {
                        variant.channel_mean(x.data(), 2, 64, 64, mean.data());
                      });
  ExpectForcedIsaRuns(SqueezeExciteVariants(), BestSqueezeExcite,
                      [&](const SqueezeExciteVariant& variant) {
                        variant.excite_rows(weight.data(), weight.data(), mean.data(), 2, 64,
                                            SqueezeExciteActivation::kRelu, out.data());
                      });
  ExpectForcedIsaRuns(SqueezeExciteVariants(), BestSqueezeExcite,
                      [&](const SqueezeExciteVariant& variant) {
                        variant.scale_gelu(x.data(), 2, 64, 64, weight.data());
                      });
}

}  // namespace
}  // namespace fastvlm
