#include "kernels/gemm_bf16/gemm_bf16.h"

#include "base/float16.h"
#include "kernels/gemm_bf16/pack.h"
#include "kernels/gemm_shared/test_float.h"
#include "support/executed_isa.h"

namespace fastvlm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// A step of the depth is a pair of values.
class Problem final : public GemmProblem {
 public:
  Problem(const GemmBf16Variant& variant, const GemmShape& shape)
      : GemmProblem(shape, variant.tile_n),
        variant_(variant),
        stride_(2 * steps() + shape.padding),
        x_(Size(shape.rows - 1, stride_) + Size(2, steps())),
        weights_(Size(padded_columns(), 2 * steps())) {}

  void Prepare() override {
    for (int64_t i = 0; i < rows(); ++i) {
      variant_.round(values() + i * x_stride(), depth(), x_.data() + i * stride_);
    }
    for (int64_t j = 0; j < columns(); j += variant_.tile_n) {
      PackPairsF32(weights(), columns(), depth(), j, variant_.tile_n,
                   weights_.data() + j * 2 * steps());
    }
  }
  void Multiply(const GemmOutput& output, int64_t begin, int64_t end) override {
    GemmBf16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.pairs = end - begin;
    args.x = x_.data() + 2 * begin;
    args.x_stride = stride_;
    args.weights = weights_.data() + 2 * begin * variant_.tile_n;
    args.panel_stride = 2 * steps() * variant_.tile_n;
    variant_.fn(args);
  }
  int64_t steps() const override { return (depth() + 1) / 2; }
  double TakenX(int64_t i, int64_t p) const override { return Rounded(value(i, p)); }
  double TakenW(int64_t j, int64_t p) const override { return Rounded(weight(j, p)); }
  double SumError() const override {
    const double k = static_cast<double>(2 * steps());
    return 2 * (k + 1) * 0x1p-24 * (1 + k);
  }
  double ActivationError(Activation activation, double size) const override {
    return (activation == Activation::kGelu ? 7e-5 : 0) + 4e-7 * size;
  }

 private:
  static float Rounded(float value) { return F32FromBf16(Bf16FromF32(value)); }

  const GemmBf16Variant& variant_;
  int64_t stride_;
  GuardedBuffer<uint16_t> x_, weights_;
};

std::vector<GemmCase> Cases() {
  std::vector<GemmCase> cases;
  for (const GemmBf16Variant& variant : GemmBf16Variants()) {
    cases.push_back(
        {std::string(variant.name),
         variant.isa,
         variant.tile_m,
         variant.tile_n,
         {1, 2, 7, 30},
         72,
         {1, 15},
         [&variant](const GemmShape& shape) { return std::make_unique<Problem>(variant, shape); }});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmFloatTest, ::testing::ValuesIn(Cases()), GemmCaseName);

class GemmBf16Test : public ::testing::TestWithParam<GemmBf16Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(GemmBf16Test, DenormalsCountAsZeros) {
  Problem problem(GetParam(), {1, 5, 2});
  const auto run = [&](float x, float w, float start) {
    for (int64_t p = 0; p < 2; ++p) {
      problem.value(0, p) = p == 0 ? x : 0;
      for (int64_t j = 0; j < 5; ++j) problem.weight(j, p) = w;
    }
    for (int64_t j = 0; j < GetParam().tile_n; ++j) problem.start(j) = start;
    problem.Run();
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
  ExpectForcedIsaRuns(GemmBf16Variants(), BestGemmBf16, [](const GemmBf16Variant& variant) {
    Problem(variant, {1, variant.tile_n, 3}).Run();
  });
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
