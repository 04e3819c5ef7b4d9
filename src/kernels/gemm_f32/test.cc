#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/gemm_f32/pack.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr double kEpsilon = 0x1p-24;
constexpr float kInf = std::numeric_limits<float>::infinity();

double Activated(Activation activation, double x) {
  if (activation == Activation::kGelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  return x;
}

// One call of a kernel with every operand ending at an unreadable page. Weights are bf16 values,
// stored in either type.
class Problem {
 public:
  Problem(const GemmF32Variant& variant, int64_t rows, int64_t columns, int64_t depth,
          int64_t padding)
      : variant_(variant),
        rows_(rows),
        columns_(columns),
        depth_(depth),
        padding_(padding),
        x_(Size(rows, depth + padding) - static_cast<size_t>(padding)),
        y_(Size(rows, columns + padding) - static_cast<size_t>(padding)),
        residual_(Size(rows, columns + 2 * padding) - static_cast<size_t>(2 * padding)),
        start_(static_cast<size_t>(PaddedColumns())),
        scale_(static_cast<size_t>(columns)),
        weight_(static_cast<size_t>(columns * depth)),
        f32_(static_cast<size_t>(PaddedColumns() * depth)),
        bf16_(static_cast<size_t>(PaddedColumns() * depth)) {}

  void Randomize(TestRandom& random) {
    for (int64_t i = 0; i < rows_; ++i) {
      random.Fill(x_.data() + i * (depth_ + padding_), static_cast<size_t>(depth_), -1, 1);
      random.Fill(residual_.data() + i * (columns_ + 2 * padding_), static_cast<size_t>(columns_),
                  -1, 1);
    }
    random.Fill(start_.data(), start_.size(), -1, 1);
    random.Fill(scale_.data(), scale_.size(), -1, 1);
    for (uint16_t& w : weight_) w = Bf16FromF32(random.Uniform(-1, 1));
  }

  void Run(bool bf16, Activation activation, bool scale, bool residual) {
    const int64_t tile_n = variant_.tile_n;
    std::vector<float> wide(weight_.size());
    for (size_t i = 0; i < wide.size(); ++i) wide[i] = F32FromBf16(weight_[i]);
    for (int64_t j = 0; j < columns_; j += tile_n) {
      PackPanelBf16(weight_.data(), columns_, depth_, j, tile_n, bf16_.data() + j * depth_);
      PackPanelF32(wide.data(), columns_, depth_, j, tile_n, f32_.data() + j * depth_);
    }
    y_.Poison();
    GemmF32Args args;
    args.rows = rows_;
    args.columns = columns_;
    args.depth = depth_;
    args.x = x_.data();
    args.x_stride = depth_ + padding_;
    args.weights = bf16 ? static_cast<const void*>(bf16_.data()) : f32_.data();
    args.panel_stride = depth_ * tile_n;
    args.start = start_.data();
    args.y = y_.data();
    args.y_stride = columns_ + padding_;
    args.activation = activation;
    if (scale) args.scale = scale_.data();
    if (residual) args.residual = residual_.data();
    args.residual_stride = columns_ + 2 * padding_;
    (bf16 ? variant_.bf16 : variant_.f32)(args);
  }

  double Expected(int64_t i, int64_t j, Activation activation, bool scale, bool residual) {
    double sum = start(j);
    for (int64_t p = 0; p < depth_; ++p) {
      sum += double{x(i, p)} * F32FromBf16(weight(j, p));
    }
    sum = Activated(activation, sum);
    if (scale) sum *= scale_[static_cast<size_t>(j)];
    if (residual) sum += residual_[static_cast<size_t>(i * (columns_ + 2 * padding_) + j)];
    return sum;
  }

  // All of |x|, |w|, |start|, |scale| and |residual| are at most 1. SiLU and GELU steepen by less
  // than 1.13; their own errors are 4e-7 and 4 units in the last place of the argument.
  double Tolerance(Activation activation) const {
    const double magnitude = 1 + static_cast<double>(depth_);
    const double sum = 2 * static_cast<double>(depth_ + 1) * kEpsilon * magnitude;
    const double last = 4 * kEpsilon * (1 + magnitude);
    return activation == Activation::kNone ? sum + last : 1.13 * sum + last + 4e-7 * magnitude;
  }

  void ExpectMarginsUntouched() {
    for (int64_t i = 0; i + 1 < rows_; ++i) {
      for (int64_t j = columns_; j < columns_ + padding_; ++j) EXPECT_TRUE(y_.IsPoison(y(i, j)));
    }
  }

  float& x(int64_t i, int64_t p) { return x_[static_cast<size_t>(i * (depth_ + padding_) + p)]; }
  float& y(int64_t i, int64_t j) { return y_[static_cast<size_t>(i * (columns_ + padding_) + j)]; }
  float& start(int64_t j) { return start_[static_cast<size_t>(j)]; }
  uint16_t& weight(int64_t j, int64_t p) { return weight_[static_cast<size_t>(j * depth_ + p)]; }

 private:
  static size_t Size(int64_t rows, int64_t stride) { return static_cast<size_t>(rows * stride); }
  int64_t PaddedColumns() const {
    return (columns_ + variant_.tile_n - 1) / variant_.tile_n * variant_.tile_n;
  }

  const GemmF32Variant& variant_;
  int64_t rows_, columns_, depth_, padding_;
  GuardedBuffer<float> x_, y_, residual_, start_, scale_;
  std::vector<uint16_t> weight_;  // [columns, depth], bf16
  GuardedBuffer<float> f32_;
  GuardedBuffer<uint16_t> bf16_;
};

class GemmF32Test : public ::testing::TestWithParam<GemmF32Variant> {
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
      std::vector<float> first;
      for (bool bf16 : {false, true}) {
        problem.Run(bf16, activation, scale, residual);
        problem.ExpectMarginsUntouched();
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < columns; ++j) {
            const float y = problem.y(i, j);
            if (!bf16) {
              first.push_back(y);
              ASSERT_NEAR(y, problem.Expected(i, j, activation, scale, residual),
                          problem.Tolerance(activation))
                  << rows << " x " << columns << " x " << depth << " at " << i << ", " << j;
            } else {
              ASSERT_EQ(y, first[static_cast<size_t>(i * columns + j)])
                  << "bf16 and f32 storage differ at " << i << ", " << j;
            }
          }
        }
      }
    }
  }
};

TEST_P(GemmF32Test, MatchesDoubleAndStaysInItsBuffers) {
  TestRandom random;
  const int64_t m = GetParam().tile_m;
  const int64_t n = GetParam().tile_n;
  for (int64_t rows :
       {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{5}, m - 1, m, m + 1, 2 * m + 5}) {
    if (rows == 0) continue;
    for (int64_t columns : {int64_t{1}, int64_t{2}, int64_t{3}, n / 2 - 1, n / 2, n / 2 + 1, n - 1,
                            n, n + 1, 2 * n + 7, 4 * n - 1, 4 * n + 1, 9 * n}) {
      for (int64_t depth : {1, 2, 7, 31}) ExpectMatches(random, rows, columns, depth);
    }
  }
}

TEST_P(GemmF32Test, EveryNumberOfRowsUpToTwoTiles) {
  TestRandom random;
  for (int64_t rows = 1; rows <= 2 * GetParam().tile_m; ++rows) ExpectMatches(random, rows, 37, 19);
}

TEST_P(GemmF32Test, MatchesDoubleAtRealDepths) {
  TestRandom random;
  for (int64_t depth : {96, 896, 4864}) {
    ExpectMatches(random, 1, 131, depth);
    ExpectMatches(random, 13, 67, depth);
  }
}

// A row has the same bits alone, among others, and with its depth cut in two.
TEST_P(GemmF32Test, RowsAndCutsDoNotMatter) {
  TestRandom random;
  const int64_t n = GetParam().tile_n;
  const int64_t rows = 2 * GetParam().tile_m + 3, columns = 3 * n, depth = 71, cut = 29;
  const auto size = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
  std::vector<float> x(size(rows, depth)), w(size(columns, depth)), bias(size(columns, 1));
  std::vector<float> all(size(rows, columns)), alone(all), cuts(all);
  random.Fill(x.data(), x.size(), -1, 1);
  random.Fill(w.data(), w.size(), -1, 1);
  random.Fill(bias.data(), bias.size(), -1, 1);
  GemmF32Args args;
  args.rows = rows;
  args.columns = columns;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = depth;
  args.weights = w.data();
  args.panel_stride = depth * n;
  args.start = bias.data();
  args.y = all.data();
  args.y_stride = columns;
  GetParam().f32(args);

  GemmF32Args row = args;
  row.rows = 1;
  for (int64_t i = 0; i < rows; ++i) {
    row.x = x.data() + i * depth;
    row.y = alone.data() + i * columns;
    GetParam().f32(row);
  }
  EXPECT_EQ(all, alone);

  GemmF32Args half = args;
  half.y = cuts.data();
  half.depth = cut;
  GetParam().f32(half);
  half.depth = depth - cut;
  half.x += cut;
  half.weights = w.data() + cut * n;
  half.start = cuts.data();
  half.start_stride = columns;
  GetParam().f32(half);
  EXPECT_EQ(all, cuts);
}

TEST_P(GemmF32Test, ResidualMayBeTheOutput) {
  const int64_t rows = GetParam().tile_m + 1, columns = GetParam().tile_n + 3;
  const int64_t padded = 2 * GetParam().tile_n;
  const std::vector<float> x(static_cast<size_t>(rows), 2.0f);
  const std::vector<float> w(static_cast<size_t>(padded), 3.0f);
  const std::vector<float> zeros(static_cast<size_t>(padded), 0.0f);
  std::vector<float> y(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i);
  GemmF32Args args;
  args.rows = rows;
  args.columns = columns;
  args.depth = 1;
  args.x = x.data();
  args.x_stride = 1;
  args.weights = w.data();
  args.panel_stride = GetParam().tile_n;
  args.start = zeros.data();
  args.y = y.data();
  args.y_stride = columns;
  args.residual = y.data();
  args.residual_stride = columns;
  GetParam().f32(args);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], static_cast<float>(i) + 6);
}

TEST_P(GemmF32Test, Extremes) {
  TestRandom random;
  for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().tile_m}) {
    const int64_t columns = GetParam().tile_n + 5, depth = 3;
    Problem problem(GetParam(), rows, columns, depth, 0);
    const auto run = [&](float x, float w, float start) {
      problem.Randomize(random);
      problem.x(rows - 1, 1) = x;
      problem.weight(columns - 1, 1) = Bf16FromF32(w);
      problem.start(columns - 1) = start;
      problem.Run(true, Activation::kNone, false, false);
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

TEST_P(GemmF32Test, DenormalsAreKept) {
  const int64_t n = GetParam().tile_n;
  const std::vector<float> x = {0x1p-100f};
  const std::vector<float> w(static_cast<size_t>(n), 0x1p-40f);
  const std::vector<float> start(static_cast<size_t>(n), 0x1p-149f);
  std::vector<float> y(static_cast<size_t>(n));
  GemmF32Args args;
  args.rows = 1;
  args.columns = n;
  args.depth = 1;
  args.x = x.data();
  args.x_stride = 1;
  args.weights = w.data();
  args.start = start.data();
  args.y = y.data();
  args.y_stride = n;
  GetParam().f32(args);
  for (float value : y) EXPECT_EQ(value, 0x1p-140f + 0x1p-149f);
}

TEST_P(GemmF32Test, ActivationsOfLargeArguments) {
  const int64_t n = GetParam().tile_n;
  const std::vector<float> x(1, 0.0f);
  const std::vector<float> w(static_cast<size_t>(n), 0.0f);
  std::vector<float> start(static_cast<size_t>(n)), y(static_cast<size_t>(n));
  const float values[] = {0, -0.0f, 1, -1, 3, -3, 6, -6, 20, -20, 100, -100, 6e4f, -6e4f, 1e30f};
  for (size_t j = 0; j < start.size(); ++j) start[j] = values[j % std::size(values)];
  for (Activation activation : {Activation::kGelu, Activation::kSilu}) {
    GemmF32Args args;
    args.rows = 1;
    args.columns = n;
    args.depth = 1;
    args.x = x.data();
    args.x_stride = 1;
    args.weights = w.data();
    args.start = start.data();
    args.y = y.data();
    args.y_stride = n;
    args.activation = activation;
    GetParam().f32(args);
    for (size_t j = 0; j < y.size(); ++j) {
      const double expected = Activated(activation, start[j]);
      EXPECT_NEAR(y[j], expected, 4e-7 * std::max(1.0, std::fabs(double{start[j]}))) << start[j];
    }
  }
}

TEST_P(GemmF32Test, WidensEveryBf16) {
  std::vector<uint16_t> bits(65536);
  std::vector<float> wide(bits.size());
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  GetParam().widen(bits.data(), static_cast<int64_t>(bits.size()), wide.data());
  for (size_t i = 0; i < bits.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), static_cast<uint32_t>(i) << 16);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmF32Test,
                         ::testing::ValuesIn(GemmF32Variants().begin(), GemmF32Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(GemmF32Dispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (!CpuSupports(isa)) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestGemmF32().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

// At an odd address, with a row and a column of tiles cut off by the edge.
TEST(GemmF32Pack, LaysOutPanelsOfOddlyPlacedWeights) {
  TestRandom random;
  const int64_t n = 19, k = 131, tile_n = 16;
  std::vector<float> weight(static_cast<size_t>(n * k));
  std::vector<uint16_t> half(weight.size()), brain(weight.size());
  random.Fill(weight.data(), weight.size(), -1, 1);
  for (size_t i = 0; i < weight.size(); ++i) {
    half[i] = F16FromF32(weight[i]);
    brain[i] = Bf16FromF32(weight[i]);
  }
  const auto at_odd_address = [](const auto& source) {
    const size_t bytes = source.size() * sizeof(source[0]);
    auto buffer = std::make_unique<GuardedBuffer<char>>(bytes);
    const size_t shift = reinterpret_cast<uintptr_t>(buffer->data()) % 2 == 0 ? 1 : 0;
    buffer = std::make_unique<GuardedBuffer<char>>(bytes + shift);
    std::memcpy(buffer->data(), source.data(), bytes);
    return buffer;
  };
  const auto f32 = at_odd_address(weight), f16 = at_odd_address(half), bf16 = at_odd_address(brain);
  for (int64_t column : {int64_t{0}, tile_n}) {
    GuardedBuffer<float> wide(static_cast<size_t>(k * tile_n)), from_f16(wide.size());
    GuardedBuffer<uint16_t> narrow(wide.size());
    PackPanelF32(f32->data(), n, k, column, tile_n, wide.data());
    PackPanelF16ToF32(f16->data(), n, k, column, tile_n, from_f16.data());
    PackPanelBf16(bf16->data(), n, k, column, tile_n, narrow.data());
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < tile_n; ++j) {
        const size_t at = static_cast<size_t>(p * tile_n + j);
        const bool real = column + j < n;
        const size_t source = real ? static_cast<size_t>((column + j) * k + p) : 0;
        ASSERT_EQ(wide[at], real ? weight[source] : 0.0f);
        ASSERT_EQ(from_f16[at], real ? F32FromF16(half[source]) : 0.0f);
        ASSERT_EQ(narrow[at], real ? brain[source] : 0);
      }
    }
  }
}

}  // namespace
}  // namespace fastvlm
