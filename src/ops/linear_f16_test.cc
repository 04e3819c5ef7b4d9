// Linear layers in bf16 on a CPU with AVX512_FP16, where products are of f16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/float16.h"
#include "ops/ffn.h"
#include "ops/kernel_choices.h"
#include "ops/linear.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

size_t Size(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

float Rounded(float value) { return F32FromBf16(Bf16FromF32(value)); }

std::vector<float> RandomValues(TestRandom& random, int64_t size) {
  std::vector<float> values(Size(size, 1));
  random.Fill(values.data(), values.size(), -1, 1);
  return values;
}

class LinearF16Test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!CpuSupports(Isa::kAvx512Fp16)) GTEST_SKIP() << "this CPU has no AVX512_FP16";
    if (ChooseBf16Products() != LinearProducts::kF16)
      GTEST_SKIP() << "this CPU or the environment prefers others";
  }
};

TEST_F(LinearF16Test, MatchesTheSumsOfRoundedWeights) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t m : {1, 2, 5, 13, 37, 150}) {
    for (auto [n, k] :
         {std::pair<int64_t, int64_t>{1, 1}, {17, 31}, {65, 96}, {97, 1601}, {200, 3072}}) {
      const std::vector<float> weights = RandomValues(random, n * k);
      const std::vector<float> bias = RandomValues(random, n), x = RandomValues(random, m * k);
      const PackedLinear packed = PackedLinear::Pack(weights.data(), WeightType::kF32, n, k,
                                                     bias.data(), LinearFormat::kBf16, pool);
      ASSERT_EQ(packed.products(), LinearProducts::kF16);
      ASSERT_FALSE(packed.is_bf16());
      GuardedBuffer<float> scratch((LinearScratchBytes(packed, m) + 3) / 4);
      std::vector<float> y(Size(m, n));
      Linear(packed, x.data(), m, k, y.data(), n, {}, scratch.data(), pool);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = bias[Size(j, 1)];
          for (int64_t p = 0; p < k; ++p) {
            sum += double{x[Size(i, k) + Size(p, 1)]} * Rounded(weights[Size(j, k) + Size(p, 1)]);
          }
          // Far within the kernel's bound, which counts on errors that all have the same sign.
          const double depth = static_cast<double>(k);
          ASSERT_NEAR(y[Size(i, n) + Size(j, 1)], sum, 0x1p-11 * (1 + 4 * std::sqrt(depth)))
              << m << " x " << n << " x " << k;
        }
      }
    }
  }
}

TEST_F(LinearF16Test, ThreadsAndRowsDoNotMatter) {
  TestRandom random;
  const int64_t m = 211, n = 235, k = 1223;  // more than one piece of the depth
  const std::vector<float> weights = RandomValues(random, n * k), x = RandomValues(random, m * k);
  std::vector<float> expected(Size(m, n));
  ThreadPool one(1);
  const PackedLinear packed =
      PackedLinear::Pack(weights.data(), WeightType::kF32, n, k, nullptr, LinearFormat::kBf16, one);
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

TEST_F(LinearF16Test, ScratchForFewerRowsIsNoLarger) {
  ThreadPool pool(1);
  const std::vector<float> weights(Size(40, 50), 1.0f);
  const PackedLinear packed = PackedLinear::Pack(weights.data(), WeightType::kF32, 40, 50, nullptr,
                                                 LinearFormat::kBf16, pool);
  for (int64_t m = 0; m < 40; ++m) {
    EXPECT_LE(LinearScratchBytes(packed, m), LinearScratchBytes(packed, m + 1));
  }
}

TEST_F(LinearF16Test, EveryWeightTypeIsPackedAlike) {
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
  const auto read_row = [&](int64_t row, float* out) {
    std::copy_n(weights.data() + row * k, k, out);
  };
  const auto pack = [&](const void* values, WeightType type) {
    return PackedLinear::Pack(values, type, n, k, nullptr, LinearFormat::kBf16, pool);
  };
  const PackedLinear f32 = pack(weights.data(), WeightType::kF32);
  const std::vector<float> x = RandomValues(random, m * k);
  std::vector<float> expected(Size(m, n)), actual(Size(m, n));
  Buffer<uint8_t> scratch(LinearScratchBytes(f32, m));
  Linear(f32, x.data(), m, k, expected.data(), n, {}, scratch.data(), pool);
  for (const PackedLinear& packed :
       {pack(f16.data(), WeightType::kF16), pack(bf16.data(), WeightType::kBf16),
        PackedLinear::Pack(read_row, n, k, nullptr, LinearFormat::kBf16, pool)}) {
    EXPECT_EQ(packed.bytes(), f32.bytes());
    Linear(packed, x.data(), m, k, actual.data(), n, {}, scratch.data(), pool);
    EXPECT_EQ(actual, expected);
  }
}

TEST_F(LinearF16Test, OnlyTheFormatBf16RoundsX) {
  ThreadPool pool(1);
  const uint16_t weight = Bf16FromF32(1);
  const float x = 1 + 0x1p-20f;
  for (LinearFormat format :
       {LinearFormat::kExact, LinearFormat::kBf16Weights, LinearFormat::kBf16}) {
    const PackedLinear packed =
        PackedLinear::Pack(&weight, WeightType::kBf16, 1, 1, nullptr, format, pool);
    float y = 0;
    Buffer<uint8_t> scratch(LinearScratchBytes(packed, 1));
    Linear(packed, &x, 1, 1, &y, 1, {}, scratch.data(), pool);
    EXPECT_EQ(y, format == LinearFormat::kBf16 ? 1 : x);
    const Work work = LinearWork(packed, 1);
    EXPECT_EQ(work.f16_operations, format == LinearFormat::kBf16 ? 2 : 0);
    EXPECT_EQ(work.f32_operations, format == LinearFormat::kBf16 ? 0 : 2);
  }
}

// The feed-forward block, in pieces of rows, is its two layers one after the other.
TEST_F(LinearF16Test, FfnIsItsLayers) {
  TestRandom random;
  ThreadPool pool(2);
  const int64_t channels = 40, hidden = 161;
  for (int64_t m : {1, 50, 400}) {
    const std::vector<float> w1 = RandomValues(random, hidden * channels);
    const std::vector<float> w2 = RandomValues(random, hidden * channels);
    const PackedLinear fc1 = PackedLinear::Pack(w1.data(), WeightType::kF32, hidden, channels,
                                                nullptr, LinearFormat::kBf16, pool);
    const PackedLinear fc2 = PackedLinear::Pack(w2.data(), WeightType::kF32, channels, hidden,
                                                nullptr, LinearFormat::kBf16, pool);
    const std::vector<float> x = RandomValues(random, m * channels);
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

}  // namespace
}  // namespace fastvlm
