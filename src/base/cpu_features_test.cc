#include "base/cpu_features.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

TEST(CpuFeatures, ScalarAlwaysRuns) { EXPECT_TRUE(CpuSupports(Isa::kScalar)); }

TEST(CpuFeatures, CapIsHonoured) {
  const Isa before = SetMaxIsaForTesting(Isa::kScalar);
  EXPECT_EQ(MaxIsa(), Isa::kScalar);
  SetMaxIsaForTesting(before);
  EXPECT_EQ(MaxIsa(), before);
}

TEST(CpuFeatures, NamesAreDistinct) {
  EXPECT_EQ(IsaName(Isa::kScalar), "scalar");
  EXPECT_EQ(IsaName(Isa::kAvx2), "avx2");
  EXPECT_EQ(IsaName(Isa::kAvx512), "avx512");
  EXPECT_EQ(IsaName(Isa::kAvx512Vnni), "avx512_vnni");
  EXPECT_EQ(IsaName(Isa::kAvx512Bf16), "avx512_bf16");
  EXPECT_EQ(IsaName(Isa::kAvx512Fp16), "avx512_fp16");
}

TEST(CpuFeatures, ABetterInstructionSetImpliesTheOthers) {
  for (Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16}) {
    const Isa better = static_cast<Isa>(static_cast<int>(isa) + 1);
    EXPECT_TRUE(CpuSupports(isa) || !CpuSupports(better)) << IsaName(better);
  }
}

TEST(CpuFeatures, CountsCores) { EXPECT_GE(PhysicalCoreCount(), 1); }

}  // namespace
}  // namespace fastvlm
