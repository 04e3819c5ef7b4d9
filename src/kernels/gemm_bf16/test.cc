#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/gemm_bf16/pack.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr double kEpsilon = 0x1p-24;
constexpr float kInf = std::numeric_limits<float>::infinity();

size_t Size(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

double Activated(Activation activation, double x) {
  if (activation == Activation::kGelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  return x;
}

// One call of a kernel with every operand ending at an unreadable page.
class Problem {
 public:
  Problem(const GemmBf16Variant& variant, int64_t rows, int64_t columns, int64_t depth,
          int64_t padding)
      : variant_(variant),
        rows_(rows),
        columns_(columns),
        depth_(depth),
        pairs_((depth + 1) / 2),
        padding_(padding),
        padded_((columns + variant.tile_n - 1) / variant.tile_n * variant.tile_n),
        x_(Size(rows - 1, 2 * pairs_ + padding) + Size(2, pairs_)),
        weights_(Size(padded_, 2 * pairs_)),
        start_(Size(padded_, 1)),
        scale_(Size(columns, 1)),
        residual_(Size(rows - 1, columns + 2 * padding) + Size(columns, 1)),
        y_(Size(rows - 1, columns + padding) + Size(columns, 1)),
        values_(Size(rows, depth)),
        weight_(Size(columns, depth)) {}

  void Randomize(TestRandom& random) {
    for (float& value : values_) value = random.Uniform(-1, 1);
    for (float& value : weight_) value = random.Uniform(-1, 1);
    random.Fill(start_.data(), start_.size(), -1, 1);
    random.Fill(scale_.data(), scale_.size(), -1, 1);
    for (int64_t i = 0; i < rows_; ++i) {
      random.Fill(residual_.data() + i * (columns_ + 2 * padding_), Size(columns_, 1), -1, 1);
    }
  }

  // Rounds and packs the operands, and multiplies.
  void Run(Activation activation, bool scale, bool residual) {
    for (int64_t i = 0; i < rows_; ++i) {
      variant_.round(values_.data() + i * depth_, depth_, x_.data() + i * (2 * pairs_ + padding_));
    }
    for (int64_t j = 0; j < columns_; j += variant_.tile_n) {
      PackPairsF32(weight_.data(), columns_, depth_, j, variant_.tile_n,
                   weights_.data() + j * 2 * pairs_);
    }
    y_.Poison();
    GemmBf16Args args;
    args.rows = rows_;
    args.columns = columns_;
    args.pairs = pairs_;
    args.x = x_.data();
    args.x_stride = 2 * pairs_ + padding_;
    args.weights = weights_.data();
    args.panel_stride = 2 * pairs_ * variant_.tile_n;
    args.start = start_.data();
    args.y = y_.data();
    args.y_stride = columns_ + padding_;
    args.activation = activation;
    if (scale) args.scale = scale_.data();
    if (residual) args.residual = residual_.data();
    args.residual_stride = columns_ + 2 * padding_;
    variant_.fn(args);
  }

  void ExpectMatches(Activation activation, bool scale, bool residual) {
    // All of |x|, |w|, |start|, |scale| and |residual| are at most 1. SiLU and GELU steepen by less
    // than 1.13.
    const double depth = static_cast<double>(2 * pairs_);
    const double sums = 2 * (depth + 1) * kEpsilon * (1 + depth);
    const double tolerance = 1.13 * sums + 4 * kEpsilon * (2 + depth) +
                             (activation == Activation::kGelu ? 7e-5 + 4e-7 * depth : 4e-7 * depth);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) {
        double expected = start_[Size(j, 1)];
        for (int64_t p = 0; p < depth_; ++p) {
          expected += double{Rounded(value(i, p))} * Rounded(weight(j, p));
        }
        expected = Activated(activation, expected);
        if (scale) expected *= scale_[Size(j, 1)];
        if (residual) expected += residual_[Size(i, columns_ + 2 * padding_) + Size(j, 1)];
        ASSERT_NEAR(y(i, j), expected, tolerance)
            << rows_ << " x " << columns_ << " x " << depth_ << " at " << i << ", " << j;
      }
      for (int64_t j = columns_; j < columns_ + padding_ && i + 1 < rows_; ++j) {
        ASSERT_TRUE(y_.IsPoison(y(i, j)));
      }
    }
  }

  float& value(int64_t i, int64_t p) { return values_[Size(i, depth_) + Size(p, 1)]; }
  float& weight(int64_t j, int64_t p) { return weight_[Size(j, depth_) + Size(p, 1)]; }
  float& start(int64_t j) { return start_[Size(j, 1)]; }
  float& y(int64_t i, int64_t j) { return y_[Size(i, columns_ + padding_) + Size(j, 1)]; }

 private:
  static float Rounded(float value) { return F32FromBf16(Bf16FromF32(value)); }

  const GemmBf16Variant& variant_;
  int64_t rows_, columns_, depth_, pairs_, padding_, padded_;
  GuardedBuffer<uint16_t> x_, weights_;
  GuardedBuffer<float> start_, scale_, residual_, y_;
  std::vector<float> values_, weight_;
};

class GemmBf16Test : public ::testing::TestWithParam<GemmBf16Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }

  void ExpectMatches(TestRandom& random, int64_t rows, int64_t columns, int64_t depth) {
    Problem problem(GetParam(), rows, columns, depth, random.Integer(0, 1) * 3);
    problem.Randomize(random);
    const bool scale = random.Integer(0, 1) == 1;
    const bool residual = random.Integer(0, 1) == 1;
    for (Activation activation : {Activation::kNone, Activation::kGelu, Activation::kSilu}) {
      problem.Run(activation, scale, residual);
      problem.ExpectMatches(activation, scale, residual);
    }
  }
};

TEST_P(GemmBf16Test, MatchesDoubleAndStaysInItsBuffers) {
  TestRandom random;
  const int64_t m = GetParam().tile_m;
  const int64_t n = GetParam().tile_n;
  for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{3}, m + 1, 2 * m + 5}) {
    for (int64_t columns : {int64_t{1}, int64_t{3}, n / 2 - 1, n / 2 + 1, n - 1, n, n + 1,
                            2 * n + 7, 4 * n - 1, 4 * n + 1, 9 * n}) {
      for (int64_t depth : {1, 2, 7, 30}) ExpectMatches(random, rows, columns, depth);
    }
  }
}

TEST_P(GemmBf16Test, EveryNumberOfRowsUpToTwoTiles) {
  TestRandom random;
  for (int64_t rows = 1; rows <= 2 * GetParam().tile_m; ++rows) ExpectMatches(random, rows, 37, 19);
}

TEST_P(GemmBf16Test, MatchesDoubleAtRealDepths) {
  TestRandom random;
  for (int64_t depth : {96, 896, 4864}) {
    ExpectMatches(random, 1, 131, depth);
    ExpectMatches(random, 13, 67, depth);
  }
}

// A row has the same bits alone, among others, and with its pairs cut in two.
TEST_P(GemmBf16Test, RowsAndCutsDoNotMatter) {
  TestRandom random;
  const int64_t n = GetParam().tile_n;
  const int64_t rows = 2 * GetParam().tile_m + 3, columns = 3 * n, pairs = 36, cut = 15;
  std::vector<uint16_t> x(Size(rows, 2 * pairs)), w(Size(columns, 2 * pairs));
  for (std::vector<uint16_t>* values : {&x, &w}) {
    for (uint16_t& value : *values) value = Bf16FromF32(random.Uniform(-1, 1));
  }
  std::vector<float> bias(Size(columns, 1)), all(Size(rows, columns)), alone(all), cuts(all);
  random.Fill(bias.data(), bias.size(), -1, 1);
  GemmBf16Args args;
  args.rows = rows;
  args.columns = columns;
  args.pairs = pairs;
  args.x = x.data();
  args.x_stride = 2 * pairs;
  args.weights = w.data();
  args.panel_stride = 2 * pairs * n;
  args.start = bias.data();
  args.y = all.data();
  args.y_stride = columns;
  GetParam().fn(args);

  GemmBf16Args row = args;
  row.rows = 1;
  for (int64_t i = 0; i < rows; ++i) {
    row.x = x.data() + i * 2 * pairs;
    row.y = alone.data() + i * columns;
    GetParam().fn(row);
  }
  EXPECT_EQ(all, alone);

  GemmBf16Args half = args;
  half.y = cuts.data();
  half.pairs = cut;
  GetParam().fn(half);
  half.pairs = pairs - cut;
  half.x += 2 * cut;
  half.weights = w.data() + 2 * cut * n;
  half.start = cuts.data();
  half.start_stride = columns;
  GetParam().fn(half);
  EXPECT_EQ(all, cuts);
}

TEST_P(GemmBf16Test, ResidualMayBeTheOutput) {
  const int64_t n = GetParam().tile_n, rows = GetParam().tile_m + 1, columns = n + 3;
  const std::vector<uint16_t> x(Size(rows, 2), Bf16FromF32(2));
  const std::vector<uint16_t> w(Size(2 * n, 2), Bf16FromF32(3));
  const std::vector<float> zeros(Size(2 * n, 1), 0.0f);
  std::vector<float> y(Size(rows, columns));
  for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i);
  GemmBf16Args args;
  args.rows = rows;
  args.columns = columns;
  args.pairs = 1;
  args.x = x.data();
  args.x_stride = 2;
  args.weights = w.data();
  args.panel_stride = 2 * n;
  args.start = zeros.data();
  args.y = y.data();
  args.y_stride = columns;
  args.residual = y.data();
  args.residual_stride = columns;
  GetParam().fn(args);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], static_cast<float>(i) + 12);
}

TEST_P(GemmBf16Test, Extremes) {
  TestRandom random;
  for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().tile_m}) {
    const int64_t columns = GetParam().tile_n + 5, depth = 3;
    Problem problem(GetParam(), rows, columns, depth, 0);
    const auto run = [&](float x, float w, float start) {
      problem.Randomize(random);
      problem.value(rows - 1, 1) = x;
      problem.weight(columns - 1, 1) = w;
      problem.start(columns - 1) = start;
      problem.Run(Activation::kNone, false, false);
      return problem.y(rows - 1, columns - 1);
    };
    EXPECT_EQ(run(kInf, 1, 0), kInf);
    EXPECT_EQ(run(-kInf, 1, 0), -kInf);
    EXPECT_EQ(run(1, -kInf, 0), -kInf);
    EXPECT_EQ(run(3e38f, 3e38f, 0), kInf);
    EXPECT_EQ(run(1, 1, kInf), kInf);
    EXPECT_TRUE(std::isnan(run(kInf, 0, 0)));
    EXPECT_TRUE(std::isnan(run(1, 1, NAN)));
    EXPECT_TRUE(std::isnan(run(NAN, 1, 0)));
    EXPECT_TRUE(std::isnan(run(1, NAN, 0)));
    // What is in one row or column stays there.
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j + 1 < columns; ++j) EXPECT_TRUE(std::isfinite(problem.y(i, j)));
    }
  }
}

TEST_P(GemmBf16Test, DenormalsCountAsZeros) {
  Problem problem(GetParam(), 1, 5, 2, 0);
  const auto run = [&](float x, float w, float start) {
    for (int64_t p = 0; p < 2; ++p) {
      problem.value(0, p) = p == 0 ? x : 0;
      for (int64_t j = 0; j < 5; ++j) problem.weight(j, p) = w;
    }
    for (int64_t j = 0; j < GetParam().tile_n; ++j) problem.start(j) = start;
    problem.Run(Activation::kNone, false, false);
    return problem.y(0, 4);
  };
  EXPECT_EQ(run(0x1p-126f, 1, 0), 0x1p-126f);
  EXPECT_EQ(run(0x1p-127f, 0x1p100f, 0), 0);  // x
  EXPECT_EQ(run(0x1p100f, 0x1p-127f, 0), 0);  // w
  EXPECT_EQ(run(0x1p-100f, 0x1p-40f, 0), 0);  // their product
  EXPECT_EQ(run(0, 0, 0x1p-130f), 0);         // the sum so far
}

TEST_P(GemmBf16Test, RoundsToTheNearest) {
  TestRandom random;
  std::vector<float> values = {0,
                               -0.0f,
                               1,
                               -1,
                               kInf,
                               -kInf,
                               3.4e38f,
                               -3.4e38f,
                               0x1p-126f,
                               -0x1p-126f,
                               0x1p-127f,
                               -0x1p-127f,
                               0x1p-149f,
                               0x1.fffffep-127f,
                               1.00390625f,
                               1.01171875f,
                               -1.00390625f,
                               1.0039063f,
                               1.0039061f};
  for (int i = 0; i < 500; ++i) {
    values.push_back(std::ldexp(random.Uniform(-1, 1), random.Integer(-120, 120)));
  }
  for (size_t size : {size_t{1}, size_t{2}, size_t{15}, size_t{16}, size_t{17}, size_t{31},
                      size_t{32}, size_t{33}, values.size()}) {
    GuardedBuffer<float> x(size);
    GuardedBuffer<uint16_t> bf16(size + size % 2);
    std::copy_n(values.begin(), size, x.data());
    GetParam().round(x.data(), static_cast<int64_t>(size), bf16.data());
    for (size_t i = 0; i < size; ++i) {
      const float kept =
          std::fabs(values[i]) < 0x1p-126f ? std::copysign(0.0f, values[i]) : values[i];
      EXPECT_EQ(bf16[i], Bf16FromF32(kept)) << values[i];
    }
    if (size % 2 != 0) {
      EXPECT_EQ(bf16[size], 0);
    }
  }
  const float nan[] = {NAN, -NAN};
  uint16_t bf16[2];
  GetParam().round(nan, 2, bf16);
  EXPECT_TRUE(std::isnan(F32FromBf16(bf16[0])) && std::isnan(F32FromBf16(bf16[1])));
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmBf16Test,
                         ::testing::ValuesIn(GemmBf16Variants().begin(), GemmBf16Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(GemmBf16Dispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx512Bf16}) {
    if (!CpuSupports(isa)) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestGemmBf16().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

// An odd depth, and columns cut off by the edge.
TEST(GemmBf16Pack, LaysOutPairs) {
  TestRandom random;
  const int64_t n = 19, k = 131, tile_n = 16, pairs = 66;
  std::vector<float> f32(Size(n, k));
  std::vector<uint16_t> f16(f32.size()), bf16(f32.size());
  for (size_t i = 0; i < f32.size(); ++i) {
    f16[i] = F16FromF32(random.Uniform(-1, 1));
    f32[i] = F32FromF16(f16[i]);
    bf16[i] = Bf16FromF32(f32[i]);
  }
  for (int64_t column : {int64_t{0}, tile_n}) {
    GuardedBuffer<uint16_t> a(Size(2 * pairs, tile_n)), b(a.size()), c(a.size());
    PackPairsF32(f32.data(), n, k, column, tile_n, a.data());
    PackPairsF16(f16.data(), n, k, column, tile_n, b.data());
    PackPairsBf16(bf16.data(), n, k, column, tile_n, c.data());
    for (int64_t p = 0; p < 2 * pairs; ++p) {
      for (int64_t j = 0; j < tile_n; ++j) {
        const size_t at = Size(p / 2 * tile_n + j, 2) + Size(p % 2, 1);
        const bool real = column + j < n && p < k;
        const uint16_t expected = real ? bf16[Size(column + j, k) + Size(p, 1)] : uint16_t{0};
        ASSERT_EQ(a[at], expected);
        ASSERT_EQ(b[at], expected);
        ASSERT_EQ(c[at], expected);
      }
    }
  }
}

}  // namespace
}  // namespace fastvlm
