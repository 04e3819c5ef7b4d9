#include "kernels/gemm_f32/gemm_f32.h"

#include <bit>
#include <cstring>

#include "base/float16.h"
#include "kernels/gemm_f32/pack.h"
#include "kernels/gemm_shared/test_float.h"
#include "support/executed_isa.h"

namespace fastvlm {
namespace {

// A step of the depth is one value. Weights are held as f32 or as BF16.
class Problem final : public GemmProblem {
 public:
  Problem(const GemmF32Variant& variant, bool bf16, const GemmShape& shape)
      : GemmProblem(shape, variant.tile_n),
        variant_(variant),
        bf16_(bf16),
        wide_(Size(padded_columns(), shape.depth)),
        narrow_(wide_.size()) {}

  void Prepare() override {
    const int64_t n = variant_.tile_n;
    for (int64_t j = 0; j < columns(); j += n) {
      PackPanelF32(weights(), columns(), depth(), j, n, wide_.data() + j * depth());
      PackPanelF32ToBf16(weights(), columns(), depth(), j, n, narrow_.data() + j * depth());
    }
  }
  void Multiply(const GemmOutput& output, int64_t begin, int64_t end) override {
    const int64_t offset = begin * variant_.tile_n;
    GemmF32Args args;
    static_cast<GemmOutput&>(args) = output;
    args.depth = end - begin;
    args.x = values() + begin;
    args.x_stride = x_stride();
    args.weights =
        bf16_ ? static_cast<const void*>(narrow_.data() + offset) : wide_.data() + offset;
    args.panel_stride = depth() * variant_.tile_n;
    (bf16_ ? variant_.bf16 : variant_.f32)(args);
  }
  int64_t steps() const override { return depth(); }
  double TakenW(int64_t j, int64_t p) const override {
    return bf16_ ? F32FromBf16(Bf16FromF32(weight(j, p))) : weight(j, p);
  }
  double SumError() const override {
    const double k = static_cast<double>(depth());
    return 2 * (k + 1) * 0x1p-24 * (1 + k);
  }
  double ActivationError(Activation, double size) const override { return 4e-7 * size; }

 private:
  const GemmF32Variant& variant_;
  bool bf16_;
  GuardedBuffer<float> wide_;
  GuardedBuffer<uint16_t> narrow_;
};

std::vector<GemmCase> Cases() {
  std::vector<GemmCase> cases;
  for (const GemmF32Variant& variant : GemmF32Variants()) {
    for (bool bf16 : {false, true}) {
      cases.push_back({std::string(variant.name) + (bf16 ? "_bf16" : "_f32"),
                       variant.isa,
                       variant.tile_m,
                       variant.tile_n,
                       {1, 2, 7, 31},
                       71,
                       {1, 29},
                       [&variant, bf16](const GemmShape& shape) {
                         return std::make_unique<Problem>(variant, bf16, shape);
                       }});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Variants, GemmFloatTest, ::testing::ValuesIn(Cases()), GemmCaseName);

class GemmF32Test : public ::testing::TestWithParam<GemmF32Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(GemmF32Test, SameBitsFromBothTypesOfWeights) {
  TestRandom random;
  for (int64_t rows : {int64_t{1}, int64_t{2}, GetParam().tile_m + 3}) {
    const GemmShape shape = {rows, 3 * GetParam().tile_n + 5, 47};
    Problem f32(GetParam(), false, shape), bf16(GetParam(), true, shape);
    f32.Randomize(random);
    for (int64_t j = 0; j < shape.columns; ++j) {
      for (int64_t p = 0; p < shape.depth; ++p) {
        f32.weight(j, p) = F32FromBf16(Bf16FromF32(f32.weight(j, p)));
      }
    }
    bf16.CopyOperands(f32);
    for (Activation activation : {Activation::kNone, Activation::kGelu, Activation::kSilu}) {
      f32.Run(activation);
      bf16.Run(activation);
      EXPECT_EQ(bf16.Result(), f32.Result());
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
  for (bool bf16 : {false, true}) {
    ExpectForcedIsaRuns(GemmF32Variants(), BestGemmF32, [&](const GemmF32Variant& variant) {
      Problem(variant, bf16, {1, variant.tile_n, 3}).Run();
    });
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
