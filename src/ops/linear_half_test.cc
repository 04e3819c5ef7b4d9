// Linear layers whose products are of bf16 or of f16: by the CPU's instructions where it has them,
// and by the scalar definitions on any CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/float16.h"
#include "ops/ffn.h"
#include "ops/linear.h"
#include "ops/linear_weights.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

float RoundedToBf16(float value) { return F32FromBf16(Bf16FromF32(value)); }

struct Half {
  std::string name;
  LinearProducts products;
  Isa isa;
};

class LinearHalfTest : public ::testing::TestWithParam<Half> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
    before_ = SetMaxIsaForTesting(GetParam().isa);
    limited_ = true;
  }
  void TearDown() override {
    if (limited_) SetMaxIsaForTesting(before_);
  }

  bool is_f16() const { return GetParam().products == LinearProducts::kF16; }
  // The scalar definition of f16 products computes each one in double.
  bool is_slow() const { return is_f16() && GetParam().isa == Isa::kScalar; }
  // How many products a test may ask for.
  int64_t most_products() const {
    return is_slow() ? 2'000'000 : GetParam().isa == Isa::kScalar ? 8'000'000 : 100'000'000;
  }

  PackedLinear Pack(const WeightSource& source, const float* bias, ThreadPool& pool) const {
    return {is_f16() ? MakeLinearF16(source, pool) : MakeLinearBf16(source, pool), bias};
  }
  PackedLinear Pack(const std::vector<float>& weights, int64_t n, int64_t k, const float* bias,
                    ThreadPool& pool) const {
    return Pack(WeightSource(weights.data(), WeightType::kF32, n, k), bias, pool);
  }

 private:
  Isa before_ = Isa::kScalar;
  bool limited_ = false;
};

TEST_P(LinearHalfTest, MatchesTheSumsOfRoundedValues) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t m : {1, 2, 5, 13, 37, 150}) {
    for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1},
                        {17, 31},
                        {65, 96},
                        {33, 1601},
                        {97, 1601},
                        {200, 3072}}) {
      if (m * n * k > most_products()) continue;
      const std::vector<float> weights = RandomValues(random, n * k, -1, 1);
      const std::vector<float> bias = RandomValues(random, n, -1, 1),
                               x = RandomValues(random, m * k, -1, 1);
      const PackedLinear packed = Pack(weights, n, k, bias.data(), pool);
      ASSERT_EQ(packed.products(), GetParam().products);
      ASSERT_EQ(packed.is_bf16(), !is_f16());
      GuardedBuffer<float> scratch((LinearScratchBytes(packed, m) + 3) / 4);
      std::vector<float> y(Size(m, n));
      Linear(packed, x.data(), m, k, y.data(), n, {}, scratch.data(), pool);
      // f16: far within the kernel's bound, which counts on errors that all have the same sign.
      const double depth = static_cast<double>(k);
      const double tolerance =
          is_f16() ? 0x1p-11 * (1 + 4 * std::sqrt(depth)) : 2 * (depth + 2) * (depth + 2) * 0x1p-24;
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = bias[Size(j, 1)];
          for (int64_t p = 0; p < k; ++p) {
            const float value = x[Size(i, k) + Size(p, 1)];
            sum += double{is_f16() ? value : RoundedToBf16(value)} *
                   RoundedToBf16(weights[Size(j, k) + Size(p, 1)]);
          }
          ASSERT_NEAR(y[Size(i, n) + Size(j, 1)], sum, tolerance) << m << " x " << n << " x " << k;
        }
      }
    }
  }
}

TEST_P(LinearHalfTest, ThreadsAndRowsDoNotMatter) {
  TestRandom random;
  // More than one slice of the depth.
  const int64_t m = is_slow() ? 26 : 211, n = is_slow() ? 67 : 235, k = 1223;
  const std::vector<float> weights = RandomValues(random, n * k, -1, 1),
                           x = RandomValues(random, m * k, -1, 1);
  std::vector<float> expected(Size(m, n));
  ThreadPool one(1);
  const PackedLinear packed = Pack(weights, n, k, nullptr, one);
  Buffer<uint8_t> scratch(LinearScratchBytes(packed, m));
  Linear(packed, x.data(), m, k, expected.data(), n, {}, scratch.data(), one);
  for (int threads : {2, 3}) {
    ThreadPool pool(threads);
    for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{12}, int64_t{17}, m}) {
      std::vector<float> actual(Size(rows, n), -1.0f);
      const int64_t from = m - rows;
      Linear(packed, x.data() + from * k, rows, k, actual.data(), n, {}, scratch.data(), pool);
      ASSERT_EQ(std::memcmp(actual.data(), expected.data() + from * n, Size(rows * n, 4)), 0)
          << threads << " threads, " << rows << " rows";
    }
  }
  std::vector<float> alone(Size(m, n), -1.0f);
  LinearOneThread(packed, x.data(), m, k, alone.data(), n, {}, scratch.data());
  EXPECT_EQ(alone, expected);
}

TEST_P(LinearHalfTest, ScratchForFewerRowsIsNoLarger) {
  ThreadPool pool(1);
  const PackedLinear packed = Pack(std::vector<float>(Size(40, 50), 1.0f), 40, 50, nullptr, pool);
  for (int64_t m = 0; m < 40; ++m) {
    EXPECT_LE(LinearScratchBytes(packed, m), LinearScratchBytes(packed, m + 1));
  }
}

TEST_P(LinearHalfTest, EveryWeightTypeIsPackedAlike) {
  TestRandom random;
  ThreadPool pool(2);
  const int64_t m = 3, n = 77, k = 65;
  std::vector<float> weights(Size(n, k));
  for (float& w : weights) w = static_cast<float>(random.Integer(-127, 127)) / 128;
  std::vector<uint16_t> f16(weights.size()), bf16(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    f16[i] = F16FromF32(weights[i]);
    bf16[i] = Bf16FromF32(weights[i]);
  }
  const ReadRowFn read_row = [&](int64_t row, float* out) {
    std::copy_n(weights.data() + row * k, k, out);
  };
  const PackedLinear f32 = Pack(weights, n, k, nullptr, pool);
  const std::vector<float> x = RandomValues(random, m * k, -1, 1);
  std::vector<float> expected(Size(m, n)), actual(Size(m, n));
  Buffer<uint8_t> scratch(LinearScratchBytes(f32, m));
  Linear(f32, x.data(), m, k, expected.data(), n, {}, scratch.data(), pool);
  for (const WeightSource& source :
       {WeightSource(f16.data(), WeightType::kF16, n, k),
        WeightSource(bf16.data(), WeightType::kBf16, n, k), WeightSource(read_row, n, k)}) {
    const PackedLinear packed = Pack(source, nullptr, pool);
    EXPECT_EQ(packed.bytes(), f32.bytes());
    Linear(packed, x.data(), m, k, actual.data(), n, {}, scratch.data(), pool);
    EXPECT_EQ(actual, expected);
  }
}

TEST_P(LinearHalfTest, RoundsXAsItsProductsNeed) {
  ThreadPool pool(1);
  const std::vector<float> weight = {1};
  const PackedLinear packed = Pack(weight, 1, 1, nullptr, pool);
  Buffer<uint8_t> scratch(LinearScratchBytes(packed, 1));
  // The nearest bf16 of both is 1, the nearest f16 of the second one is 1 + 2^-10.
  for (float x : {1 + 0x1p-20f, 1 + 0x1p-10f}) {
    float y = 0;
    Linear(packed, &x, 1, 1, &y, 1, {}, scratch.data(), pool);
    EXPECT_EQ(y, is_f16() && x == 1 + 0x1p-10f ? x : 1.0f);
  }
  const Work work = LinearWork(packed, 1);
  EXPECT_EQ(work.f16_operations, is_f16() ? 2 : 0);
  EXPECT_EQ(work.bf16_operations, is_f16() ? 0 : 2);
  EXPECT_EQ(work.f32_operations, 0);
}

// The feed-forward block, in units of rows, is its two layers one after the other.
TEST_P(LinearHalfTest, FfnIsItsLayers) {
  TestRandom random;
  ThreadPool pool(2);
  const int64_t channels = 40, hidden = 161;
  for (int64_t m : {1, 50, 400}) {
    if (is_slow() && m == 400) continue;
    const PackedLinear fc1 =
        Pack(RandomValues(random, hidden * channels, -1, 1), hidden, channels, nullptr, pool);
    const PackedLinear fc2 =
        Pack(RandomValues(random, hidden * channels, -1, 1), channels, hidden, nullptr, pool);
    const std::vector<float> x = RandomValues(random, m * channels, -1, 1);
    std::vector<float> map(Size(m, hidden)), expected(x.size()), actual(x.size());
    Buffer<uint8_t> rows(std::max(LinearScratchBytes(fc1, m), LinearScratchBytes(fc2, m)));
    Linear(fc1, x.data(), m, channels, map.data(), hidden, {.activation = Activation::kGelu},
           rows.data(), pool);
    Linear(fc2, map.data(), m, hidden, expected.data(), channels, {}, rows.data(), pool);
    Buffer<uint8_t> scratch(FfnScratchBytes(fc1, fc2, pool.threads()));
    Ffn(fc1, fc2, x.data(), m, actual.data(), nullptr, nullptr, scratch.data(), pool);
    EXPECT_EQ(actual, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Isas, LinearHalfTest,
    ::testing::Values(Half{"bf16_scalar", LinearProducts::kBf16, Isa::kScalar},
                      Half{"bf16_avx512_bf16", LinearProducts::kBf16, Isa::kAvx512Bf16},
                      Half{"f16_scalar", LinearProducts::kF16, Isa::kScalar},
                      Half{"f16_avx512_fp16", LinearProducts::kF16, Isa::kAvx512Fp16}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace fastvlm
