#include "ops/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu_features.h"
#include "base/float16.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr double kEpsilon = 0x1p-24;

// Weights that are exact in bf16 and in f16, so that all three types mean the same layer.
std::vector<float> RandomWeights(TestRandom& random, int64_t n, int64_t k) {
  std::vector<float> weights(Size(n, k));
  for (float& w : weights) w = static_cast<float>(random.Integer(-127, 127)) / 128;
  return weights;
}

PackedLinear PackAs(WeightType type, const std::vector<float>& weights, int64_t n, int64_t k,
                    const float* bias, ThreadPool& pool,
                    LinearFormat format = LinearFormat::kExact) {
  if (type == WeightType::kF32) {
    return PackedLinear::Pack(weights.data(), type, n, k, bias, format, pool);
  }
  std::vector<uint16_t> half(weights.size());
  for (size_t i = 0; i < half.size(); ++i) {
    half[i] = type == WeightType::kBf16 ? Bf16FromF32(weights[i]) : F16FromF32(weights[i]);
  }
  return PackedLinear::Pack(half.data(), type, n, k, bias, format, pool);
}

class LinearTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam());
    before_ = SetMaxIsaForTesting(GetParam());
    limited_ = true;
  }
  void TearDown() override {
    if (limited_) SetMaxIsaForTesting(before_);
  }

  // Rows of the result are compared with a double sum, a few of them if there are many.
  void ExpectMatches(TestRandom& random, int64_t m, int64_t n, int64_t k) {
    const int64_t x_stride = k + random.Integer(0, 5);
    const int64_t y_stride = n + random.Integer(0, 5);
    const std::vector<float> weights = RandomWeights(random, n, k);
    std::vector<float> bias(Size(n, 1)), scale(Size(n, 1)), residual(Size(m, n));
    random.Fill(bias.data(), bias.size(), -1, 1);
    random.Fill(scale.data(), scale.size(), -1, 1);
    random.Fill(residual.data(), residual.size(), -1, 1);
    GuardedBuffer<float> x(Size(m - 1, x_stride) + Size(1, k));
    for (int64_t i = 0; i < m; ++i) random.Fill(x.data() + i * x_stride, Size(1, k), -1, 1);
    const Epilogue epilogue = {Activation::kNone, scale.data(), residual.data(), n};
    ThreadPool pool(2);
    std::vector<float> first;
    for (WeightType type : {WeightType::kF32, WeightType::kBf16, WeightType::kF16}) {
      const PackedLinear packed = PackAs(type, weights, n, k, bias.data(), pool);
      GuardedBuffer<float> y(Size(m - 1, y_stride) + Size(1, n));
      Linear(packed, x.data(), m, x_stride, y.data(), y_stride, epilogue, nullptr, pool);
      for (int64_t i = 0; i < m; ++i) {
        const float* row = y.data() + i * y_stride;
        for (int64_t j = n; j < y_stride && i + 1 < m; ++j) ASSERT_TRUE(y.IsPoison(row[j]));
        if (type != WeightType::kF32) {
          ASSERT_EQ(std::memcmp(row, &first[Size(i, n)], Size(n, sizeof(float))), 0)
              << "weight types differ in row " << i << " of " << m << " x " << n << " x " << k;
          continue;
        }
        first.insert(first.end(), row, row + n);
        if (i > 2 && i + 2 < m && m * n * k > 2'000'000 && i % 61 != 0) continue;
        for (int64_t j = 0; j < n; ++j) {
          double expected = bias[Size(j, 1)];
          for (int64_t p = 0; p < k; ++p) {
            expected += double{x.data()[i * x_stride + p]} * weights[Size(j, k) + Size(p, 1)];
          }
          expected = residual[Size(i, n) + Size(j, 1)] + scale[Size(j, 1)] * expected;
          const double magnitude = 2 + static_cast<double>(k);
          ASSERT_NEAR(row[j], expected, 2 * static_cast<double>(k + 3) * kEpsilon * magnitude)
              << m << " x " << n << " x " << k << " at " << i << ", " << j;
        }
      }
    }
  }

 private:
  Isa before_ = Isa::kScalar;
  bool limited_ = false;
};

TEST_P(LinearTest, MatchesDouble) {
  TestRandom random;
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 23, 24, 37, 97}) {
    for (int64_t n : {1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 131}) {
      for (int64_t k : {1, 3, 16, 67}) ExpectMatches(random, m, n, k);
    }
  }
}

TEST_P(LinearTest, MatchesDoubleAtRealShapes) {
  TestRandom random;
  // Several units of rows; several slices of the depth; decoding; an odd depth of several slices.
  ExpectMatches(random, 1000, 96, 96);
  ExpectMatches(random, 400, 64, 384);
  ExpectMatches(random, 30, 100, 3072);
  ExpectMatches(random, 1, 1152, 896);
  ExpectMatches(random, 4, 200, 4864);
  ExpectMatches(random, 193, 65, 1031);
}

TEST_P(LinearTest, ThreadsAndRowsDoNotMatter) {
  TestRandom random;
  const int64_t m = 211, n = 203, k = 601;
  const std::vector<float> weights = RandomWeights(random, n, k);
  std::vector<float> x(Size(m, k)), expected(Size(m, n));
  random.Fill(x.data(), x.size(), -1, 1);
  const Epilogue epilogue = {.activation = Activation::kGelu};
  for (WeightType type : {WeightType::kF32, WeightType::kBf16}) {
    ThreadPool one(1);
    const PackedLinear packed = PackAs(type, weights, n, k, nullptr, one);
    Linear(packed, x.data(), m, k, expected.data(), n, epilogue, nullptr, one);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{17}, int64_t{50}, m}) {
        std::vector<float> actual(Size(rows, n), -1.0f);
        const int64_t from = m - rows;
        Linear(packed, x.data() + from * k, rows, k, actual.data(), n, epilogue, nullptr, pool);
        ASSERT_EQ(std::memcmp(actual.data(), expected.data() + from * n, Size(rows * n, 4)), 0)
            << threads << " threads, " << rows << " rows";
      }
    }
    std::vector<float> alone(Size(m, n), -1.0f);
    LinearOneThread(packed, x.data(), m, k, alone.data(), n, epilogue, nullptr);
    EXPECT_EQ(alone, expected);
  }
}

TEST_P(LinearTest, ResidualMayBeTheOutput) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t m : {1, 3, 50}) {
    const int64_t n = 77, k = 900;
    const std::vector<float> weights = RandomWeights(random, n, k);
    const PackedLinear packed = PackAs(WeightType::kBf16, weights, n, k, nullptr, pool);
    std::vector<float> x(Size(m, k)), residual(Size(m, n)), expected(Size(m, n));
    random.Fill(x.data(), x.size(), -1, 1);
    random.Fill(residual.data(), residual.size(), -1, 1);
    const Epilogue apart = {.residual = residual.data(), .residual_stride = n};
    Linear(packed, x.data(), m, k, expected.data(), n, apart, nullptr, pool);
    std::vector<float> y = residual;
    const Epilogue in_place = {.residual = y.data(), .residual_stride = n};
    Linear(packed, x.data(), m, k, y.data(), n, in_place, nullptr, pool);
    EXPECT_EQ(y, expected);
  }
}

TEST_P(LinearTest, EpilogueHasTheOrderOfItsFormula) {
  ThreadPool pool(1);
  const std::vector<float> weights = {2, 3};  // n = 2, k = 1
  const std::vector<float> bias = {0.5f, -9}, scale = {10, 100}, residual = {1000, 2000}, x = {1};
  std::vector<float> y(2);
  const PackedLinear packed = PackedLinear::Pack(weights.data(), WeightType::kF32, 2, 1,
                                                 bias.data(), LinearFormat::kExact, pool);
  Linear(packed, x.data(), 1, 1, y.data(), 2, {Activation::kSilu, scale.data(), residual.data(), 2},
         nullptr, pool);
  EXPECT_NEAR(y[0], 1000 + 10 * 2.5 / (1 + std::exp(-2.5)), 1e-4);
  EXPECT_NEAR(y[1], 2000 + 100 * -6 / (1 + std::exp(6)), 2e-4);
}

TEST_P(LinearTest, RemembersItsVariant) {
  if (GetParam() > Isa::kAvx512) GTEST_SKIP() << "floats have none of their own";
  ThreadPool pool(1);
  const float weight = 3, x = 2;
  const PackedLinear packed =
      PackedLinear::Pack(&weight, WeightType::kF32, 1, 1, nullptr, LinearFormat::kExact, pool);
  for (const GemmF32Variant& variant : GemmF32Variants()) {
    if (variant.isa == GetParam()) {
      EXPECT_EQ(packed.tile_m(), variant.tile_m);
    }
  }
  EXPECT_EQ(packed.n(), 1);
  EXPECT_EQ(packed.k(), 1);
  EXPECT_GE(packed.bytes(), sizeof(float));
  const Isa before = SetMaxIsaForTesting(Isa::kScalar);
  float y = 0;
  Linear(packed, &x, 1, 1, &y, 1, {}, nullptr, pool);
  SetMaxIsaForTesting(before);
  EXPECT_EQ(y, 6);
}

TEST_P(LinearTest, NoRowsIsNothingToDo) {
  ThreadPool pool(2);
  const float weight = 3;
  const PackedLinear packed =
      PackedLinear::Pack(&weight, WeightType::kF32, 1, 1, nullptr, LinearFormat::kExact, pool);
  float y = 7;
  Linear(packed, nullptr, 0, 1, &y, 1, {}, nullptr, pool);
  EXPECT_EQ(y, 7);
}

TEST_P(LinearTest, Bf16TakesHalfTheMemory) {
  ThreadPool pool(2);
  TestRandom random;
  const std::vector<float> weights = RandomWeights(random, 256, 256);
  const PackedLinear f32 = PackAs(WeightType::kF32, weights, 256, 256, nullptr, pool);
  const PackedLinear bf16 = PackAs(WeightType::kBf16, weights, 256, 256, nullptr, pool);
  EXPECT_LT(bf16.bytes(), f32.bytes() * 51 / 100);
}

// What a quantized layer is: x and W in blocks of 32, each value the nearest of 255 steps up to the
// block's greatest magnitude (of W with an f16 step, in q4 16 steps), their products summed
// exactly.
std::vector<float> InSteps(std::vector<float> values, int64_t width, LinearFormat format,
                           bool is_weight) {
  for (size_t row = 0; row < values.size(); row += Size(width, 1)) {
    for (int64_t begin = 0; begin < width; begin += 32) {
      float* block = &values[row + Size(begin, 1)];
      const int64_t count = std::min<int64_t>(32, width - begin);
      float extreme = 0;
      for (int64_t i = 0; i < count; ++i) {
        if (std::fabs(block[i]) > std::fabs(extreme)) extreme = block[i];
      }
      const bool four_bits = is_weight && format == LinearFormat::kQ4;
      float step = four_bits ? extreme / -8 : std::fabs(extreme) / 127;
      if (is_weight) step = F32FromF16(F16FromF32(step));
      for (int64_t i = 0; i < count && step != 0; ++i) {
        const float q = std::nearbyint(block[i] / step);
        block[i] = step * (four_bits ? std::clamp(q, -8.0f, 7.0f) : std::clamp(q, -127.0f, 127.0f));
      }
    }
  }
  return values;
}

TEST_P(LinearTest, QuantizedLayersMatchTheirDefinition) {
  TestRandom random;
  ThreadPool pool(2);
  for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ4}) {
    for (int64_t m : {1, 2, 5, 6, 7, 23, 24, 37, 150}) {
      for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {17, 31}, {65, 96}, {33, 1600}}) {
        std::vector<float> x(Size(m, k)), weights(Size(n, k)), bias(Size(n, 1)), y(Size(m, n));
        for (std::vector<float>* values : {&x, &weights, &bias}) {
          random.Fill(values->data(), values->size(), -1, 1);
        }
        const PackedLinear packed =
            PackAs(WeightType::kF32, weights, n, k, bias.data(), pool, format);
        GuardedBuffer<uint8_t> scratch((LinearScratchBytes(packed, m) + 63) / 64 * 64);
        Linear(packed, x.data(), m, k, y.data(), n, {}, scratch.data(), pool);
        const std::vector<float> x_steps = InSteps(x, k, format, false);
        const std::vector<float> w_steps = InSteps(weights, k, format, true);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double sum = bias[Size(j, 1)];
            for (int64_t p = 0; p < k; ++p) {
              sum += double{x_steps[Size(i, k) + Size(p, 1)]} * w_steps[Size(j, k) + Size(p, 1)];
            }
            // A value halfway between two steps may go either way here: one step of x at most for
            // a few of them, and rounding.
            ASSERT_NEAR(y[Size(i, n) + Size(j, 1)], sum, 0.02 + 1e-6 * static_cast<double>(k))
                << m << " x " << n << " x " << k;
          }
        }
      }
    }
  }
}

// The other blocks of a pair are rounded once more, or not at all on CPUs without such products: it
// is the layer of single blocks within the steps of both.
TEST_P(LinearTest, PairsAreNearSingleBlocks) {
  TestRandom random;
  ThreadPool pool(2);
  for (int64_t m : {1, 2, 13, 150}) {
    for (auto [n, k] : {std::pair<int64_t, int64_t>{33, 64}, {70, 1600}, {70, 96}}) {
      std::vector<float> x(Size(m, k)), weights(Size(n, k)), single(Size(m, n)), pairs(Size(m, n));
      random.Fill(x.data(), x.size(), -1, 1);
      random.Fill(weights.data(), weights.size(), -1, 1);
      for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ8Pairs}) {
        const PackedLinear packed = PackAs(WeightType::kF32, weights, n, k, nullptr, pool, format);
        if (packed.shares_scales()) {
          EXPECT_TRUE(format == LinearFormat::kQ8Pairs && k % 64 == 0);
        }
        GuardedBuffer<uint8_t> scratch((LinearScratchBytes(packed, m) + 63) / 64 * 64);
        Linear(packed, x.data(), m, k, (format == LinearFormat::kQ8 ? single : pairs).data(), n, {},
               scratch.data(), pool);
      }
      // Errors of a product: at most a step of 1 / 127 for x and for w each, evenly spread.
      const float deviation = 0.5f / 127 * std::sqrt(static_cast<float>(k));
      for (size_t i = 0; i < single.size(); ++i) ASSERT_NEAR(pairs[i], single[i], 5 * deviation);
    }
  }
}

TEST_P(LinearTest, QuantizedRowsDoNotDependOnThreadsOrOtherRows) {
  TestRandom random;
  const int64_t m = 211, n = 203, k = 4160;
  std::vector<float> weights(Size(n, k)), x(Size(m, k)), expected(Size(m, n));
  random.Fill(weights.data(), weights.size(), -1, 1);
  random.Fill(x.data(), x.size(), -1, 1);
  for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ8Pairs, LinearFormat::kQ4}) {
    ThreadPool one(1);
    const PackedLinear packed = PackAs(WeightType::kF32, weights, n, k, nullptr, one, format);
    Buffer<uint8_t> scratch(LinearScratchBytes(packed, m));
    Linear(packed, x.data(), m, k, expected.data(), n, {}, scratch.data(), one);
    for (int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{17}, int64_t{50}, m}) {
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
}

TEST_P(LinearTest, Bf16FormatRoundsTheWeights) {
  ThreadPool pool(1);
  const float weight = 1.00390625f, x = 3;  // halfway between two bf16 values
  for (WeightType type : {WeightType::kF32, WeightType::kF16}) {
    for (LinearFormat format : {LinearFormat::kBf16, LinearFormat::kBf16Weights}) {
      const PackedLinear packed = PackAs(type, {weight}, 1, 1, nullptr, pool, format);
      float y = 0;
      Linear(packed, &x, 1, 1, &y, 1, {}, nullptr, pool);
      EXPECT_EQ(y, 3 * F32FromBf16(Bf16FromF32(weight)));
    }
  }
}

TEST_P(LinearTest, WeightsReadRowByRowAreTheSame) {
  TestRandom random;
  ThreadPool pool(2);
  const int64_t n = 77, k = 65;
  std::vector<float> weights(Size(n, k)), x(Size(3, k)), bias(Size(n, 1));
  random.Fill(weights.data(), weights.size(), -1, 1);
  random.Fill(x.data(), x.size(), -1, 1);
  random.Fill(bias.data(), bias.size(), -1, 1);
  const auto read_row = [&](int64_t row, float* out) {
    std::copy_n(weights.data() + row * k, k, out);
  };
  for (const LinearFormat format :
       {LinearFormat::kExact, LinearFormat::kBf16, LinearFormat::kBf16Weights, LinearFormat::kQ8,
        LinearFormat::kQ4}) {
    const PackedLinear whole =
        PackedLinear::Pack(weights.data(), WeightType::kF32, n, k, bias.data(), format, pool);
    const PackedLinear rows = PackedLinear::Pack(read_row, n, k, bias.data(), format, pool);
    EXPECT_EQ(rows.bytes(), whole.bytes());
    std::vector<float> expected(Size(3, n)), actual(Size(3, n));
    std::vector<uint8_t> scratch(LinearScratchBytes(whole, 3));
    Linear(whole, x.data(), 3, k, expected.data(), n, {}, scratch.data(), pool);
    Linear(rows, x.data(), 3, k, actual.data(), n, {}, scratch.data(), pool);
    EXPECT_EQ(actual, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, LinearTest,
                         ::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512,
                                           Isa::kAvx512Vnni),
                         [](const auto& test) { return std::string(IsaName(test.param)); });

}  // namespace
}  // namespace fastvlm
