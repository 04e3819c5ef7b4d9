// Linear layers whose products are of bf16: by AVX512_BF16 where the CPU has it, and by the scalar
// definition on any CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/float16.h"
#include "ops/ffn.h"
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

class LinearBf16Test : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam());
    before_ = SetMaxIsaForTesting(GetParam());
    emulated_ = SetEmulateBf16ProductsForTesting(true);
    set_ = true;
  }
  void TearDown() override {
    if (!set_) return;
    SetMaxIsaForTesting(before_);
    SetEmulateBf16ProductsForTesting(emulated_);
  }

 private:
  Isa before_ = Isa::kScalar;
  bool emulated_ = false;
  bool set_ = false;
};

TEST_P(LinearBf16Test, MatchesTheSumsOfRoundedValues) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t m : {1, 2, 5, 13, 37, 150}) {
    for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {17, 31}, {65, 96}, {33, 1601}}) {
      const std::vector<float> weights = RandomValues(random, n * k);
      const std::vector<float> bias = RandomValues(random, n), x = RandomValues(random, m * k);
      const PackedLinear packed = PackedLinear::Pack(weights.data(), WeightType::kF32, n, k,
                                                     bias.data(), LinearFormat::kBf16, pool);
      ASSERT_EQ(packed.products(), LinearProducts::kBf16);
      GuardedBuffer<float> scratch((LinearScratchBytes(packed, m) + 3) / 4);
      std::vector<float> y(Size(m, n));
      Linear(packed, x.data(), m, k, y.data(), n, {}, scratch.data(), pool);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = bias[Size(j, 1)];
          for (int64_t p = 0; p < k; ++p) {
            sum += double{Rounded(x[Size(i, k) + Size(p, 1)])} *
                   Rounded(weights[Size(j, k) + Size(p, 1)]);
          }
          const double depth = static_cast<double>(k) + 2;
          ASSERT_NEAR(y[Size(i, n) + Size(j, 1)], sum, 2 * depth * depth * 0x1p-24)
              << m << " x " << n << " x " << k;
        }
      }
    }
  }
}

TEST_P(LinearBf16Test, ThreadsAndRowsDoNotMatter) {
  TestRandom random;
  const int64_t m = 211, n = 203, k = 601;
  const std::vector<float> weights = RandomValues(random, n * k), x = RandomValues(random, m * k);
  std::vector<float> expected(Size(m, n));
  ThreadPool one(1);
  const PackedLinear packed =
      PackedLinear::Pack(weights.data(), WeightType::kF32, n, k, nullptr, LinearFormat::kBf16, one);
  Buffer<uint8_t> scratch(LinearScratchBytes(packed, m));
  Linear(packed, x.data(), m, k, expected.data(), n, {}, scratch.data(), one);
  for (int threads : {2, 3}) {
    ThreadPool pool(threads);
    for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{17}, m}) {
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

TEST_P(LinearBf16Test, EveryWeightTypeIsPackedAlike) {
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

TEST_P(LinearBf16Test, OnlyTheFormatBf16RoundsX) {
  ThreadPool pool(1);
  const uint16_t weight = Bf16FromF32(1);
  const float x = 1.001f;
  for (LinearFormat format : {LinearFormat::kExact, LinearFormat::kBf16}) {
    const PackedLinear packed =
        PackedLinear::Pack(&weight, WeightType::kBf16, 1, 1, nullptr, format, pool);
    float y = 0, scratch = 0;
    ASSERT_LE(LinearScratchBytes(packed, 1), sizeof(scratch));
    Linear(packed, &x, 1, 1, &y, 1, {}, &scratch, pool);
    EXPECT_EQ(y, format == LinearFormat::kExact ? 1.001f : 1.0f);
  }
}

// The feed-forward block, in pieces of rows, is its two layers one after the other.
TEST_P(LinearBf16Test, FfnIsItsLayers) {
  TestRandom random;
  ThreadPool pool(2);
  const int64_t m = 400, channels = 40, hidden = 161;
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

INSTANTIATE_TEST_SUITE_P(Isas, LinearBf16Test, ::testing::Values(Isa::kScalar, Isa::kAvx512Bf16),
                         [](const auto& test) { return std::string(IsaName(test.param)); });

}  // namespace
}  // namespace fastvlm
