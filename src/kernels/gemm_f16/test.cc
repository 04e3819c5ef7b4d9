#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/gemm_f16/pack.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kChunk = kF16Group * kF16GroupsPerChunk;

size_t Size(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }
int64_t RoundUp(int64_t a, int64_t b) { return (a + b - 1) / b * b; }
float ToBf16(float value) { return F32FromBf16(Bf16FromF32(value)); }

double Activated(Activation activation, double x) {
  if (activation == Activation::kGelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::kSilu) return x / (1 + std::exp(-x));
  return x;
}

// The header's bound of the error before the activation.
double Bound(int64_t k, double x, double w, double start) {
  const double h = 0x1p-11, products = static_cast<double>(k) * x * w;
  const double chunks = static_cast<double>(k) / kChunk + 2;
  return products * (h + 0x1p-26) + 18.75 * h * products * 1.02 +
         chunks * 0x1p-24 * (start + products) +
         0x1p-140 * static_cast<double>(k) * std::max({1.0, x, w});
}

// One call of a kernel with every operand ending at an unreadable page.
class Problem {
 public:
  Problem(const GemmF16Variant& variant, int64_t rows, int64_t columns, int64_t depth,
          int64_t padding = 0)
      : variant_(variant),
        rows_(rows),
        columns_(columns),
        depth_(depth),
        groups_((depth + kF16Group - 1) / kF16Group),
        padding_(padding),
        tile_rows_(std::min(rows, variant.tile_m)),
        padded_(RoundUp(columns, variant.tile_n)),
        tiles_(Size(RoundUp(rows, tile_rows_), groups_ * kF16Group)),
        weights_(Size(padded_, groups_ * kF16Group)),
        x_factor_(Size(rows, 1)),
        w_factor_(Size(padded_, 1)),
        values_(Size(rows - 1, depth + padding) + Size(depth, 1)),
        start_(Size(padded_, 1)),
        scale_(Size(columns, 1)),
        residual_(Size(rows - 1, columns + 2 * padding) + Size(columns, 1)),
        y_(Size(rows - 1, columns + padding) + Size(columns, 1)),
        weight_(Size(columns, depth)) {}

  void Randomize(TestRandom& random) {
    random.Fill(values_.data(), values_.size(), -1, 1);
    for (float& value : weight_) value = random.Uniform(-1, 1);
    random.Fill(start_.data(), start_.size(), -1, 1);
    random.Fill(scale_.data(), scale_.size(), -1, 1);
    random.Fill(residual_.data(), residual_.size(), -1, 1);
  }

  // Rounds and packs the operands.
  void Prepare() {
    F16RowsArgs args;
    args.rows = rows_;
    args.depth = depth_;
    args.x = values_.data();
    args.x_stride = depth_ + padding_;
    args.tiles = tiles_.data();
    args.tile_rows = tile_rows_;
    args.tile_stride = tile_rows_ * groups_ * kF16Group;
    args.factor = x_factor_.data();
    variant_.round(args);
    for (int64_t j = 0; j < columns_; j += variant_.tile_n) {
      PackF16(weight_.data() + j * depth_, std::min(variant_.tile_n, columns_ - j), depth_,
              variant_.tile_n, weights_.data() + j * groups_ * kF16Group, w_factor_.data() + j);
    }
  }

  GemmF16Args Args() {
    GemmF16Args args;
    args.rows = rows_;
    args.columns = columns_;
    args.groups = groups_;
    args.x = tiles_.data();
    args.x_tile_rows = tile_rows_;
    args.x_tile_stride = tile_rows_ * groups_ * kF16Group;
    args.x_factor = x_factor_.data();
    args.weights = weights_.data();
    args.panel_stride = groups_ * kF16Group * variant_.tile_n;
    args.w_factor = w_factor_.data();
    args.start = start_.data();
    args.y = y_.data();
    args.y_stride = columns_ + padding_;
    return args;
  }

  // The same from group `group` on.
  GemmF16Args ArgsFrom(int64_t group) {
    GemmF16Args args = Args();
    args.groups -= group;
    args.x += group * tile_rows_ * kF16Group;
    args.weights += group * kF16Group * variant_.tile_n;
    return args;
  }

  void Run(Activation activation = Activation::kNone, bool scale = false, bool residual = false) {
    Prepare();
    y_.Poison();
    GemmF16Args args = Args();
    args.activation = activation;
    if (scale) args.scale = scale_.data();
    if (residual) args.residual = residual_.data();
    args.residual_stride = columns_ + 2 * padding_;
    variant_.fn(args);
  }

  // All of |scale| and |residual| are at most 1. SiLU and GELU steepen by less than 1.13.
  void ExpectMatches(Activation activation, bool scale, bool residual) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) {
        double sum = start(j), largest_x = 0, largest_w = 0;
        for (int64_t p = 0; p < depth_; ++p) {
          const double w = ToBf16(weight(j, p));
          sum += double{value(i, p)} * w;
          largest_x = std::max(largest_x, std::fabs(double{value(i, p)}));
          largest_w = std::max(largest_w, std::fabs(w));
        }
        const double size =
            std::fabs(start(j)) + static_cast<double>(depth_) * largest_x * largest_w;
        const double tolerance =
            1.13 * Bound(depth_, largest_x, largest_w, std::fabs(start(j))) +
            4 * 0x1p-24 * (1 + size) +
            (activation == Activation::kGelu ? 7e-5 + 4e-7 * size : 4e-7 * size);
        double expected = Activated(activation, sum);
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

  std::vector<float> Result() {
    std::vector<float> result;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) result.push_back(y(i, j));
    }
    return result;
  }

  float& value(int64_t i, int64_t p) { return values_[Size(i, depth_ + padding_) + Size(p, 1)]; }
  float& weight(int64_t j, int64_t p) { return weight_[Size(j, depth_) + Size(p, 1)]; }
  float& start(int64_t j) { return start_[Size(j, 1)]; }
  float& y(int64_t i, int64_t j) { return y_[Size(i, columns_ + padding_) + Size(j, 1)]; }

  // Other layouts of the same numbers.
  void CopyOperands(Problem& from) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t p = 0; p < depth_; ++p) value(i, p) = from.value(i, p);
    }
    weight_ = from.weight_;
    for (int64_t j = 0; j < columns_; ++j) start(j) = from.start(j);
  }
  void CopyRow(Problem& from, int64_t i) {
    for (int64_t p = 0; p < depth_; ++p) value(0, p) = from.value(i, p);
    weight_ = from.weight_;
    std::copy_n(from.start_.data(), start_.size(), start_.data());
  }

 private:
  const GemmF16Variant& variant_;
  int64_t rows_, columns_, depth_, groups_, padding_, tile_rows_, padded_;
  GuardedBuffer<uint32_t> tiles_;
  GuardedBuffer<uint16_t> weights_;
  GuardedBuffer<float> x_factor_, w_factor_, values_, start_, scale_, residual_, y_;
  std::vector<float> weight_;
};

class GemmF16Test : public ::testing::TestWithParam<GemmF16Variant> {
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

TEST_P(GemmF16Test, MatchesDoubleAndStaysInItsBuffers) {
  TestRandom random;
  const int64_t m = GetParam().tile_m;
  const int64_t n = GetParam().tile_n;
  for (int64_t rows : {int64_t{1}, int64_t{2}, int64_t{3}, m + 1, 2 * m + 5}) {
    for (int64_t columns : {int64_t{1}, int64_t{3}, n / 2 - 1, n / 2 + 1, n - 1, n, n + 1,
                            2 * n + 7, 4 * n - 1, 4 * n + 1, 9 * n}) {
      for (int64_t depth : {1, 7, 32, 131}) ExpectMatches(random, rows, columns, depth);
    }
  }
}

TEST_P(GemmF16Test, EveryNumberOfRowsUpToTwoTiles) {
  TestRandom random;
  for (int64_t rows = 1; rows <= 2 * GetParam().tile_m; ++rows) ExpectMatches(random, rows, 37, 19);
}

TEST_P(GemmF16Test, MatchesDoubleAtRealDepths) {
  TestRandom random;
  for (int64_t depth : {96, 896, 4864}) {
    ExpectMatches(random, 1, 131, depth);
    ExpectMatches(random, 13, 67, depth);
  }
}

// The bound is what could happen; this is what does.
TEST_P(GemmF16Test, UsualErrorIsSmall) {
  TestRandom random;
  const int64_t rows = 13, columns = 40, depth = 1536;
  Problem problem(GetParam(), rows, columns, depth);
  problem.Randomize(random);
  problem.Run();
  double error = 0, size = 0;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = problem.start(j);
      for (int64_t p = 0; p < depth; ++p) {
        sum += double{problem.value(i, p)} * ToBf16(problem.weight(j, p));
      }
      error += (problem.y(i, j) - sum) * (problem.y(i, j) - sum);
      size += sum * sum;
    }
  }
  RecordProperty("relative_error", std::to_string(std::sqrt(error / size)));
  EXPECT_LT(std::sqrt(error / size), 1e-3);
}

// The same bits as the definition has, for operands of all sizes within a row and a column.
TEST_P(GemmF16Test, SameBitsAsScalar) {
  TestRandom random;
  const GemmF16Variant& scalar = GemmF16Variants().back();
  for (int64_t depth : {1, 31, 96, 500}) {
    for (int64_t rows : {1, 2, 5, 29}) {
      Problem a(GetParam(), rows, 139, depth), b(scalar, rows, 139, depth);
      a.Randomize(random);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t p = 0; p < depth; ++p) {
          a.value(i, p) = std::ldexp(a.value(i, p), random.Integer(-30, 30) / 2);
        }
      }
      for (int64_t j = 0; j < 139; ++j) {
        for (int64_t p = 0; p < depth; ++p) {
          a.weight(j, p) = std::ldexp(a.weight(j, p), random.Integer(-30, 30) / 2);
        }
      }
      b.CopyOperands(a);
      a.Run();
      b.Run();
      ASSERT_EQ(a.Result(), b.Result()) << rows << " rows, depth " << depth;
    }
  }
}

// A row has the same bits alone and among others.
TEST_P(GemmF16Test, RowsDoNotMatter) {
  TestRandom random;
  const int64_t rows = 2 * GetParam().tile_m + 3, columns = 5 * GetParam().tile_n, depth = 430;
  Problem all(GetParam(), rows, columns, depth);
  all.Randomize(random);
  all.Run();
  for (int64_t i = 0; i < rows; ++i) {
    Problem alone(GetParam(), 1, columns, depth);
    alone.CopyRow(all, i);
    alone.Run();
    for (int64_t j = 0; j < columns; ++j) ASSERT_EQ(alone.y(0, j), all.y(i, j)) << i << ", " << j;
  }
}

TEST_P(GemmF16Test, CutsBetweenChunksDoNotMatter) {
  TestRandom random;
  const int64_t columns = 3 * GetParam().tile_n, depth = 3 * kChunk + 20;
  for (int64_t rows : {int64_t{1}, 2 * GetParam().tile_m + 3}) {
    Problem problem(GetParam(), rows, columns, depth);
    problem.Randomize(random);
    problem.Run();
    const std::vector<float> whole = problem.Result();
    for (int64_t chunks : {1, 3}) {
      const int64_t cut = chunks * kF16GroupsPerChunk;
      GemmF16Args first = problem.Args();
      first.groups = cut;
      GetParam().fn(first);
      GemmF16Args rest = problem.ArgsFrom(cut);
      rest.start = rest.y;
      rest.start_stride = rest.y_stride;
      GetParam().fn(rest);
      EXPECT_EQ(problem.Result(), whole) << cut;
    }
  }
}

TEST_P(GemmF16Test, ResidualMayBeTheOutput) {
  const int64_t rows = GetParam().tile_m + 1, columns = GetParam().tile_n + 3;
  Problem problem(GetParam(), rows, columns, 2);
  for (int64_t p = 0; p < 2; ++p) {
    for (int64_t i = 0; i < rows; ++i) problem.value(i, p) = 2;
    for (int64_t j = 0; j < columns; ++j) problem.weight(j, p) = 3;
  }
  for (int64_t j = 0; j < columns; ++j) problem.start(j) = 0;
  problem.Prepare();
  GemmF16Args args = problem.Args();
  args.residual = args.y;
  args.residual_stride = args.y_stride;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) problem.y(i, j) = static_cast<float>(i * columns + j);
  }
  GetParam().fn(args);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      EXPECT_EQ(problem.y(i, j), static_cast<float>(i * columns + j) + 12);
    }
  }
}

// Rows and columns of any size have the same relative error: their scales are their own.
TEST_P(GemmF16Test, SizesOfRowsAndColumnsDoNotMatter) {
  TestRandom random;
  const int64_t columns = GetParam().tile_n + 5, depth = 130;
  Problem problem(GetParam(), 3, columns, depth);
  problem.Randomize(random);
  for (int64_t j = 0; j < columns; ++j) problem.start(j) = 0;
  problem.Run();
  const std::vector<float> plain = problem.Result();
  for (int x : {-100, -60, 0, 90}) {
    for (int w : {-25, 0, 25}) {
      Problem scaled(GetParam(), 3, columns, depth);
      scaled.CopyOperands(problem);
      for (int64_t p = 0; p < depth; ++p) {
        scaled.value(1, p) = std::ldexp(scaled.value(1, p), x);
        scaled.weight(2, p) = std::ldexp(scaled.weight(2, p), w);
      }
      scaled.Run();
      for (int64_t i = 0; i < 3; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          const float expected = plain[Size(i, columns) + Size(j, 1)];
          const int power = (i == 1 ? x : 0) + (j == 2 ? w : 0);
          ASSERT_EQ(scaled.y(i, j), std::ldexp(expected, power)) << x << ", " << w;
        }
      }
    }
  }
  // Beside a bias nothing of a tiny row may disturb.
  Problem tiny(GetParam(), 2, columns, depth);
  tiny.Randomize(random);
  for (int64_t p = 0; p < depth; ++p) tiny.value(0, p) *= 1e-38f;
  for (int64_t p = 0; p < depth; ++p) tiny.value(1, p) = 0;
  tiny.Run();
  for (int64_t j = 0; j < columns; ++j) {
    EXPECT_EQ(tiny.y(0, j), tiny.start(j));
    EXPECT_EQ(tiny.y(1, j), tiny.start(j));
  }
}

// As much as a chunk can hold.
TEST_P(GemmF16Test, ChunksDoNotOverflow) {
  const float x = std::nextafter(2.0f, 0.0f), w = 1.9921875f;
  for (int64_t depth : {kF16Group, kChunk, 5 * kChunk}) {
    Problem problem(GetParam(), 2, 3, depth);
    for (int64_t p = 0; p < depth; ++p) {
      for (int64_t i = 0; i < 2; ++i) problem.value(i, p) = x;
      for (int64_t j = 0; j < 3; ++j) problem.weight(j, p) = w;
    }
    problem.Run();
    problem.ExpectMatches(Activation::kNone, false, false);
    EXPECT_TRUE(std::isfinite(problem.y(0, 0)));
  }
}

TEST_P(GemmF16Test, Extremes) {
  TestRandom random;
  for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().tile_m}) {
    const int64_t columns = GetParam().tile_n + 5, depth = 3;
    Problem problem(GetParam(), rows, columns, depth);
    const auto run = [&](float x, float w, float start) {
      problem.Randomize(random);
      problem.value(rows - 1, 1) = x;
      problem.weight(columns - 1, 1) = w;
      problem.start(columns - 1) = start;
      problem.Run();
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
    run(kInf, 1, 0);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        EXPECT_EQ(std::isfinite(problem.y(i, j)), i + 1 < rows) << i << ", " << j;
      }
    }
  }
}

TEST_P(GemmF16Test, RoundsRows) {
  TestRandom random;
  const int64_t tile = GetParam().tile_m;
  for (int64_t rows : {int64_t{1}, tile, 2 * tile + 1}) {
    for (int64_t depth : {1, 15, 16, 17, 32, 33, 50, 100}) {
      const int64_t stride = depth + 2, groups = (depth + kF16Group - 1) / kF16Group;
      const int64_t tile_rows = std::min(rows, tile);
      GuardedBuffer<float> x(Size(rows - 1, stride) + Size(depth, 1)), factor(Size(rows, 1));
      GuardedBuffer<uint32_t> tiles(Size(RoundUp(rows, tile_rows), groups * kF16Group));
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = std::ldexp(random.Uniform(-1, 1), random.Integer(-20, 3));
      }
      F16RowsArgs args;
      args.rows = rows;
      args.depth = depth;
      args.x = x.data();
      args.x_stride = stride;
      args.tiles = tiles.data();
      args.tile_rows = tile_rows;
      args.tile_stride = tile_rows * groups * kF16Group;
      args.factor = factor.data();
      GetParam().round(args);
      for (int64_t i = 0; i < rows; ++i) {
        float largest = 0;
        for (int64_t p = 0; p < depth; ++p) {
          largest = std::max(largest, std::fabs(x[Size(i, stride) + Size(p, 1)]));
        }
        ASSERT_EQ(factor[Size(i, 1)], std::ldexp(1.0f, std::ilogb(largest) - kF16RowExponent));
        for (int64_t p = 0; p < groups * kF16Group; ++p) {
          const int64_t in_tile = (p / kF16Group * tile_rows + i % tile) * kF16Group;
          const uint32_t twice =
              tiles[Size(i / tile, args.tile_stride) + Size(in_tile + p % kF16Group, 1)];
          const float value = p < depth ? x[Size(i, stride) + Size(p, 1)] : 0;
          const uint32_t half = F16FromF32(value / factor[Size(i, 1)]);
          ASSERT_EQ(twice, half | half << 16) << i << ", " << p;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmF16Test,
                         ::testing::ValuesIn(GemmF16Variants().begin(), GemmF16Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(GemmF16Dispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx512Fp16}) {
    if (!CpuSupports(isa) || isa > GemmF16Variants().front().isa) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestGemmF16().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

// A depth within a group, columns cut off by the edge, columns of all sizes.
TEST(GemmF16Pack, KeepsBf16) {
  TestRandom random;
  const int64_t columns = 19, k = 131, tile_n = 32, padded = 160;
  std::vector<float> weight(Size(columns, k));
  for (int64_t j = 0; j < columns; ++j) {
    const int size = random.Integer(-100, 100);
    for (int64_t p = 0; p < k; ++p) {
      // Within 2^-20 of the column's largest, which is the first one.
      const float value =
          p == 0 ? 1.75f : std::ldexp(random.Uniform(1, 2), random.Integer(-20, -1));
      weight[Size(j, k) + Size(p, 1)] = std::ldexp(p % 2 == 0 ? value : -value, size);
    }
  }
  GuardedBuffer<uint16_t> panel(Size(padded, tile_n));
  GuardedBuffer<float> factor(Size(tile_n, 1));
  PackF16(weight.data(), columns, k, tile_n, panel.data(), factor.data());
  for (int64_t j = 0; j < tile_n; ++j) {
    for (int64_t p = 0; p < padded; ++p) {
      const float value = F32FromF16(panel[Size(p, tile_n) + Size(j, 1)]) * factor[Size(j, 1)];
      const bool real = j < columns && p < k;
      ASSERT_EQ(value, real ? ToBf16(weight[Size(j, k) + Size(p, 1)]) : 0.0f) << j << ", " << p;
    }
  }
}

TEST(GemmF16Pack, ZerosAndTheSmallest) {
  const float weight[] = {0, 0, 0x1p-126f, 0x1p-149f, 1, 0x1p-25f};
  uint16_t panel[kF16Group * 4];
  float factor[4];
  PackF16(weight, 3, 2, 4, panel, factor);
  EXPECT_EQ(panel[0], 0);
  EXPECT_EQ(F32FromF16(panel[1]) * factor[1], 0x1p-126f);
  EXPECT_EQ(F32FromF16(panel[4 + 1]) * factor[1], 0);
  EXPECT_EQ(F32FromF16(panel[2]) * factor[2], 1);
  EXPECT_EQ(F32FromF16(panel[4 + 2]) * factor[2], 0x1p-25f);
  EXPECT_EQ(panel[3], 0);
}

}  // namespace
}  // namespace fastvlm
