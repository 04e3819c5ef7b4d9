#include "ops/kernel_choices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/cpu_features.h"
#include "base/float16.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "ops/linear.h"

namespace fastvlm {
namespace {

constexpr Isa kIsas[] = {Isa::kScalar,     Isa::kAvx2,       Isa::kAvx512,
                         Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kAvx512Fp16};

bool IsListed(std::string_view kernel) {
  const auto kernels = SelectedKernels();
  return std::any_of(kernels.begin(), kernels.end(),
                     [kernel](const auto& one) { return one.first == kernel; });
}

class KernelChoicesTest : public ::testing::Test {
 protected:
  void TearDown() override {
    SetMaxIsaForTesting(isa_);
    SetEmulateBf16ProductsForTesting(emulate_);
  }

 private:
  const Isa isa_ = MaxIsa();
  const bool emulate_ = EmulateBf16Products();
};

// The products of a layer in each format, by what it does to x and by what it says of itself.
TEST_F(KernelChoicesTest, TheFormatBf16HasTheFastestProductsOfTheCpu) {
  ThreadPool pool(1);
  const uint16_t weight = Bf16FromF32(1);
  const float x = 1 + 0x1p-20f;
  for (Isa isa : kIsas) {
    if (!CpuSupports(isa)) continue;
    SetMaxIsaForTesting(isa);
    for (bool emulate : {false, true}) {
      SetEmulateBf16ProductsForTesting(emulate);
      const bool bf16 = emulate || HasFastBf16Products();
      const bool f16 = !bf16 && isa == Isa::kAvx512Fp16 && GemmF16Variants().size() > 1;
      const LinearProducts expected = bf16  ? LinearProducts::kBf16
                                      : f16 ? LinearProducts::kF16
                                            : LinearProducts::kF32;
      EXPECT_EQ(ChooseBf16Products(), expected) << IsaName(isa);
      EXPECT_EQ(IsListed("gemm_bf16"), bf16) << IsaName(isa);
      EXPECT_EQ(IsListed("gemm_f16"), f16) << IsaName(isa);
      for (LinearFormat format :
           {LinearFormat::kExact, LinearFormat::kBf16Weights, LinearFormat::kBf16}) {
        const PackedLinear packed =
            PackedLinear::Pack(&weight, WeightType::kBf16, 1, 1, nullptr, format, pool);
        const bool as_chosen = format == LinearFormat::kBf16;
        EXPECT_EQ(packed.products(), as_chosen ? expected : LinearProducts::kF32);
        float y = 0;
        Buffer<uint8_t> scratch(LinearScratchBytes(packed, 1));
        Linear(packed, &x, 1, 1, &y, 1, {}, scratch.data(), pool);
        EXPECT_EQ(y, as_chosen && expected != LinearProducts::kF32 ? 1 : x);
      }
    }
  }
}

TEST_F(KernelChoicesTest, QuantizedLayersHaveTheKernelOfTheirBits) {
  for (Isa isa : kIsas) {
    if (!CpuSupports(isa)) continue;
    SetMaxIsaForTesting(isa);
    for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ8Pairs, LinearFormat::kQ4}) {
      const auto kernels = SelectedKernels();
      const std::string_view kernel = IsQ8(format) ? "gemm_q8" : "gemm_q4";
      const QuantizedKernels chosen = ChooseQuantizedKernels(format);
      EXPECT_LE(chosen.product.isa, isa);
      for (const auto& [name, variant] : kernels) {
        if (name == kernel) {
          EXPECT_EQ(variant, chosen.product.name);
        }
        if (name == "quantize_rows") {
          EXPECT_EQ(variant, chosen.rows.name);
        }
      }
      // 4-bit weights take half the bytes.
      EXPECT_EQ(chosen.product.block_bytes, (IsQ8(format) ? 34 : 18) * chosen.product.tile_n);
    }
  }
}

}  // namespace
}  // namespace fastvlm
