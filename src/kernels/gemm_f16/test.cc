#include "kernels/gemm_f16/gemm_f16.h"

#include <bit>

#include "base/float16.h"
#include "kernels/gemm_f16/pack.h"
#include "kernels/gemm_shared/test_float.h"
#include "support/executed_isa.h"

namespace fastvlm {
namespace {

constexpr int64_t kSpan = kF16Run * kF16RunsPerSpan;

float ToBf16(float value) { return F32FromBf16(Bf16FromF32(value)); }

// The header's bound of the error before the activation.
double Bound(int64_t k, double x, double w, double start) {
  const double h = 0x1p-11, products = static_cast<double>(k) * x * w;
  const double spans = static_cast<double>(k) / kSpan + 2;
  return products * (h + 0x1p-26) + 18.75 * h * products * 1.02 +
         spans * 0x1p-24 * (start + products) +
         0x1p-140 * static_cast<double>(k) * std::max({1.0, x, w});
}

// A step of the depth is the runs that have a sum in f32 together.
class Problem final : public GemmProblem {
 public:
  Problem(const GemmF16Variant& variant, const GemmShape& shape)
      : GemmProblem(shape, variant.tile_n),
        variant_(variant),
        runs_((shape.depth + kF16Run - 1) / kF16Run),
        tile_rows_(std::min(shape.rows, variant.tile_m)),
        tiles_(Size(RoundUp(shape.rows, tile_rows_), runs_ * kF16Run)),
        weights_(Size(padded_columns(), runs_ * kF16Run)),
        x_factor_(Size(shape.rows, 1)),
        w_factor_(Size(padded_columns(), 1)) {}

  void Prepare() override {
    F16RowsArgs args;
    args.rows = rows();
    args.depth = depth();
    args.x = values();
    args.x_stride = x_stride();
    args.tiles = tiles_.data();
    args.tile_rows = tile_rows_;
    args.tile_stride = tile_rows_ * runs_ * kF16Run;
    args.factor = x_factor_.data();
    variant_.round(args);
    for (int64_t j = 0; j < columns(); j += variant_.tile_n) {
      PackF16(weights() + j * depth(), std::min(variant_.tile_n, columns() - j), depth(),
              variant_.tile_n, weights_.data() + j * runs_ * kF16Run, w_factor_.data() + j);
    }
  }
  void Multiply(const GemmOutput& output, int64_t begin, int64_t end) override {
    const int64_t run = begin * kF16RunsPerSpan;
    GemmF16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.runs = std::min(end * kF16RunsPerSpan, runs_) - run;
    args.x = tiles_.data() + run * tile_rows_ * kF16Run;
    args.x_tile_rows = tile_rows_;
    args.x_tile_stride = tile_rows_ * runs_ * kF16Run;
    args.x_factor = x_factor_.data();
    args.weights = weights_.data() + run * kF16Run * variant_.tile_n;
    args.panel_stride = runs_ * kF16Run * variant_.tile_n;
    args.w_factor = w_factor_.data();
    variant_.fn(args);
  }
  int64_t steps() const override { return (runs_ + kF16RunsPerSpan - 1) / kF16RunsPerSpan; }
  double TakenW(int64_t j, int64_t p) const override { return ToBf16(weight(j, p)); }
  // The header's bound counts on errors that all have the same sign: at a depth of 4864 it is 48,
  // where results deviate from 0 by 23. The errors of random operands mostly cancel and grow with
  // the root of the depth. So this is 0.27 there, less than the root mean square of one product.
  double SumError() const override {
    const double usual = 0x1p-11 * (1 + 8 * std::sqrt(static_cast<double>(depth())));
    return std::min(usual, Bound(depth(), 1, 1, 1));
  }
  double ActivationError(Activation activation, double size) const override {
    return (activation == Activation::kGelu ? 7e-5 : 0) + 4e-7 * size;
  }

 private:
  const GemmF16Variant& variant_;
  int64_t runs_, tile_rows_;
  GuardedBuffer<uint32_t> tiles_;
  GuardedBuffer<uint16_t> weights_;
  GuardedBuffer<float> x_factor_, w_factor_;
};

std::vector<GemmCase> Cases() {
  std::vector<GemmCase> cases;
  for (const GemmF16Variant& variant : GemmF16Variants()) {
    cases.push_back(
        {std::string(variant.name),
         variant.isa,
         variant.tile_m,
         variant.tile_n,
         {1, 7, 32, 131},
         3 * kSpan + 20,
         {1, 3},
         [&variant](const GemmShape& shape) { return std::make_unique<Problem>(variant, shape); }});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmFloatTest, ::testing::ValuesIn(Cases()), GemmCaseName);

class GemmF16Test : public ::testing::TestWithParam<GemmF16Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

// The bound is what could happen; this is what does.
TEST_P(GemmF16Test, UsualErrorIsSmall) {
  TestRandom random;
  const int64_t rows = 13, columns = 40, depth = 1536;
  Problem problem(GetParam(), {rows, columns, depth});
  problem.Randomize(random);
  problem.Run();
  double error = 0, size = 0;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const double sum = problem.Sum(i, j);
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
      const GemmShape shape = {rows, 139, depth};
      Problem a(GetParam(), shape), b(scalar, shape);
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

// Rows and columns of any size have the same relative error: their scales are their own.
TEST_P(GemmF16Test, SizesOfRowsAndColumnsDoNotMatter) {
  TestRandom random;
  const int64_t columns = GetParam().tile_n + 5, depth = 130;
  Problem problem(GetParam(), {3, columns, depth});
  problem.Randomize(random);
  for (int64_t j = 0; j < columns; ++j) problem.start(j) = 0;
  problem.Run();
  const std::vector<float> plain = problem.Result();
  for (int x : {-100, -60, 0, 90}) {
    for (int w : {-25, 0, 25}) {
      Problem scaled(GetParam(), {3, columns, depth});
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
  Problem tiny(GetParam(), {2, columns, depth});
  tiny.Randomize(random);
  for (int64_t p = 0; p < depth; ++p) tiny.value(0, p) *= 1e-38f;
  for (int64_t p = 0; p < depth; ++p) tiny.value(1, p) = 0;
  tiny.Run();
  for (int64_t j = 0; j < columns; ++j) {
    EXPECT_EQ(tiny.y(0, j), tiny.start(j));
    EXPECT_EQ(tiny.y(1, j), tiny.start(j));
  }
}

// As much as a span can hold, where all errors have the same sign.
TEST_P(GemmF16Test, SpansDoNotOverflow) {
  const float x = std::nextafter(2.0f, 0.0f), w = 1.9921875f;
  for (int64_t depth : {kF16Run, kSpan, 5 * kSpan}) {
    Problem problem(GetParam(), {2, 3, depth});
    for (int64_t p = 0; p < depth; ++p) {
      for (int64_t i = 0; i < 2; ++i) problem.value(i, p) = x;
      for (int64_t j = 0; j < 3; ++j) problem.weight(j, p) = w;
    }
    for (int64_t j = 0; j < 3; ++j) problem.start(j) = 1;
    problem.Run();
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t j = 0; j < 3; ++j) {
        EXPECT_NEAR(problem.y(i, j), problem.Sum(i, j), Bound(depth, x, w, 1));
      }
    }
  }
}

TEST_P(GemmF16Test, RoundsRows) {
  TestRandom random;
  const int64_t tile = GetParam().tile_m;
  for (int64_t rows : {int64_t{1}, tile, 2 * tile + 1}) {
    for (int64_t depth : {1, 15, 16, 17, 32, 33, 50, 100}) {
      const int64_t stride = depth + 2, runs = (depth + kF16Run - 1) / kF16Run;
      const int64_t tile_rows = std::min(rows, tile);
      GuardedBuffer<float> x(Size(rows - 1, stride) + Size(depth, 1)), factor(Size(rows, 1));
      GuardedBuffer<uint32_t> tiles(Size(RoundUp(rows, tile_rows), runs * kF16Run));
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
      args.tile_stride = tile_rows * runs * kF16Run;
      args.factor = factor.data();
      GetParam().round(args);
      for (int64_t i = 0; i < rows; ++i) {
        float largest = 0;
        for (int64_t p = 0; p < depth; ++p) {
          largest = std::max(largest, std::fabs(x[Size(i, stride) + Size(p, 1)]));
        }
        ASSERT_EQ(factor[Size(i, 1)], std::ldexp(1.0f, std::ilogb(largest) - kF16RowExponent));
        for (int64_t p = 0; p < runs * kF16Run; ++p) {
          const int64_t in_tile = (p / kF16Run * tile_rows + i % tile) * kF16Run;
          const uint32_t twice =
              tiles[Size(i / tile, args.tile_stride) + Size(in_tile + p % kF16Run, 1)];
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
  ExpectForcedIsaRuns(GemmF16Variants(), BestGemmF16, [](const GemmF16Variant& variant) {
    Problem(variant, {1, variant.tile_n, 3}).Run();
  });
}

// A depth within a run, columns cut off by the edge, columns of all sizes.
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
  uint16_t panel[kF16Run * 4];
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
