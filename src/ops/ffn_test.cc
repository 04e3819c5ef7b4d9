#include "ops/ffn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

struct Layers {
  Layers(TestRandom& random, int64_t channels, int64_t hidden,
         LinearFormat format = LinearFormat::kExact)
      : w1(Size(hidden, channels)),
        b1(Size(hidden, 1)),
        w2(Size(channels, hidden)),
        b2(Size(channels, 1)),
        scale(Size(channels, 1)) {
    for (std::vector<float>* values : {&w1, &b1, &w2, &b2, &scale}) {
      random.Fill(values->data(), values->size(), -1, 1);
    }
    ThreadPool pool(1);
    fc1 =
        PackedLinear::Pack(w1.data(), WeightType::kF32, hidden, channels, b1.data(), format, pool);
    fc2 =
        PackedLinear::Pack(w2.data(), WeightType::kF32, channels, hidden, b2.data(), format, pool);
  }

  std::vector<float> w1, b1, w2, b2, scale;
  PackedLinear fc1, fc2;
};

class FfnTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam());
    before_ = SetMaxIsaForTesting(GetParam());
    limited_ = true;
  }
  void TearDown() override {
    if (limited_) SetMaxIsaForTesting(before_);
  }

 private:
  Isa before_ = Isa::kScalar;
  bool limited_ = false;
};

TEST_P(FfnTest, MatchesDouble) {
  TestRandom random;
  const int64_t channels = 19, hidden = 77;
  const Layers layers(random, channels, hidden);
  for (int64_t m : {1, 2, 50, 300, 1000}) {
    GuardedBuffer<float> x(Size(m, channels)), y(Size(m, channels)), residual(Size(m, channels));
    random.Fill(x.data(), x.size(), -1, 1);
    random.Fill(residual.data(), residual.size(), -1, 1);
    ThreadPool pool(2);
    Buffer<uint8_t> scratch(FfnScratchBytes(layers.fc1, layers.fc2, pool.threads()));
    Ffn(layers.fc1, layers.fc2, x.data(), m, y.data(), layers.scale.data(), residual.data(),
        scratch.data(), pool);
    for (int64_t i = 0; i < m; ++i) {
      std::vector<double> map(Size(hidden, 1));
      for (int64_t j = 0; j < hidden; ++j) {
        double sum = layers.b1[Size(j, 1)];
        for (int64_t p = 0; p < channels; ++p) {
          sum +=
              double{x[Size(i, channels) + Size(p, 1)]} * layers.w1[Size(j, channels) + Size(p, 1)];
        }
        map[Size(j, 1)] = 0.5 * sum * (1 + std::erf(sum / std::sqrt(2.0)));
      }
      for (int64_t j = 0; j < channels; ++j) {
        double sum = layers.b2[Size(j, 1)];
        for (int64_t p = 0; p < hidden; ++p) {
          sum += map[Size(p, 1)] * layers.w2[Size(j, hidden) + Size(p, 1)];
        }
        const size_t at = Size(i, channels) + Size(j, 1);
        // Hidden values are below 20; their error, 1e-6 of it, meets 77 weights below 1.
        ASSERT_NEAR(y[at], residual[at] + layers.scale[Size(j, 1)] * sum, 1e-6 * 20 * 77)
            << "row " << i << " of " << m << ", column " << j;
      }
    }
  }
}

TEST_P(FfnTest, ThreadsAndAliasingDoNotMatter) {
  TestRandom random;
  const int64_t channels = 24, hidden = 96, m = 1500;
  std::vector<float> x(Size(m, channels)), residual(x.size()), expected(x.size());
  random.Fill(x.data(), x.size(), -1, 1);
  random.Fill(residual.data(), residual.size(), -1, 1);
  for (LinearFormat format : {LinearFormat::kExact, LinearFormat::kQ8}) {
    const Layers layers(random, channels, hidden, format);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      Buffer<uint8_t> scratch(FfnScratchBytes(layers.fc1, layers.fc2, threads));
      std::vector<float> y = residual;
      Ffn(layers.fc1, layers.fc2, x.data(), m, y.data(), layers.scale.data(), y.data(),
          scratch.data(), pool);
      if (threads == 1) expected = y;
      EXPECT_EQ(y, expected) << threads << " threads";
      std::vector<float> apart(x.size());
      Ffn(layers.fc1, layers.fc2, x.data(), m, apart.data(), layers.scale.data(), residual.data(),
          scratch.data(), pool);
      EXPECT_EQ(apart, expected) << threads << " threads, residual apart";
    }
  }
}

TEST_P(FfnTest, ScaleAndResidualAreOptional) {
  TestRandom random;
  const int64_t channels = 8, hidden = 32, m = 300;
  const Layers layers(random, channels, hidden);
  const std::vector<float> ones(Size(channels, 1), 1.0f), zeros(Size(m, channels), 0.0f);
  std::vector<float> x(Size(m, channels)), without(x.size()), with(x.size());
  random.Fill(x.data(), x.size(), -1, 1);
  ThreadPool pool(2);
  Buffer<uint8_t> scratch(FfnScratchBytes(layers.fc1, layers.fc2, 2));
  Ffn(layers.fc1, layers.fc2, x.data(), m, without.data(), nullptr, nullptr, scratch.data(), pool);
  Ffn(layers.fc1, layers.fc2, x.data(), m, with.data(), ones.data(), zeros.data(), scratch.data(),
      pool);
  EXPECT_EQ(without, with);
}

TEST_P(FfnTest, IsItsTwoLayersToTheLastBit) {
  TestRandom random;
  const int64_t channels = 64, hidden = 320;
  ThreadPool pool(2);
  for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ8Pairs, LinearFormat::kQ4}) {
    const Layers layers(random, channels, hidden, format);
    for (int64_t m : {1, 2, 11, 100, 230, 1000}) {
      std::vector<float> x(Size(m, channels)), y(x.size()), expected(x.size());
      std::vector<float> map(Size(m, hidden));
      random.Fill(x.data(), x.size(), -1, 1);
      Buffer<uint8_t> scratch(FfnScratchBytes(layers.fc1, layers.fc2, 2));
      Ffn(layers.fc1, layers.fc2, x.data(), m, y.data(), layers.scale.data(), x.data(),
          scratch.data(), pool);
      Buffer<uint8_t> apart(
          std::max(LinearScratchBytes(layers.fc1, m), LinearScratchBytes(layers.fc2, m)));
      Linear(layers.fc1, x.data(), m, channels, map.data(), hidden,
             {.activation = Activation::kGelu}, apart.data(), pool);
      Linear(layers.fc2, map.data(), m, hidden, expected.data(), channels,
             {.scale = layers.scale.data(), .residual = x.data(), .residual_stride = channels},
             apart.data(), pool);
      EXPECT_EQ(y, expected) << m << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, FfnTest,
                         ::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512,
                                           Isa::kAvx512Vnni),
                         [](const auto& test) { return std::string(IsaName(test.param)); });

}  // namespace
}  // namespace fastvlm
