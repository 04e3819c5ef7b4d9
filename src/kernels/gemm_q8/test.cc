#include "kernels/gemm_q8/gemm_q8.h"

#include <cstring>

#include "kernels/gemm_q8/pack.h"
#include "kernels/test_gemm_quantized.h"

namespace fastvlm {
namespace {

constexpr QuantizedFormat kFormat = {-127, 127, false};

INSTANTIATE_TEST_SUITE_P(Variants, GemmQuantizedTest,
                         ::testing::ValuesIn(QuantizedCases(kFormat, GemmQ8Variants())),
                         QuantizedCaseName);

TEST(GemmQ8Dispatch, ForcedIsaRuns) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (!CpuSupports(isa)) continue;
    const Isa before = SetMaxIsaForTesting(isa);
    EXPECT_EQ(BestGemmQ8().isa, isa);
    SetMaxIsaForTesting(before);
  }
}

// Every weight comes back within half a step of its block, in every variant's layout.
TEST(GemmQ8Pack, QuantizesToTheNearestStep) {
  TestRandom random;
  const int64_t k = 75, blocks = 3;
  for (const GemmQuantizedVariant& variant : GemmQ8Variants()) {
    const int64_t columns = variant.tile_n;
    QuantizedPanels panels({kFormat, variant}, columns, blocks);
    std::vector<float> w(static_cast<size_t>(k));
    for (int64_t j = 0; j < columns; ++j) {
      random.Fill(w.data(), w.size(), -1, 1);
      w[static_cast<size_t>(j)] = j % 2 == 0 ? 3.0f : -3.0f;
      PackColumnQ8(w.data(), k, j, variant, panels.data());
      for (int64_t p = 0; p < blocks * kQuantBlock; ++p) {
        const float scale = panels.Scale(j, p / kQuantBlock);
        const float value = static_cast<float>(panels.Weight(j, p)) * scale;
        const float expected = p < k ? w[static_cast<size_t>(p)] : 0;
        // The f16 scale may be too small for the greatest value by 2^-11 of it.
        ASSERT_NEAR(value, expected, 0.5f * scale + 3 * 0x1p-11f) << variant.name;
      }
      EXPECT_EQ(std::abs(panels.Weight(j, j)), 127);
    }
  }
}

TEST(GemmQ8Pack, ZerosTinyAndDamagedWeights) {
  const GemmQuantizedVariant& variant = GemmQ8Variants().back();
  QuantizedPanels panels({kFormat, variant}, variant.tile_n, 1);
  const std::vector<float> zeros(32, 0.0f), tiny(32, 1e-30f);
  std::vector<float> damaged(32, 1.0f);
  damaged[7] = std::numeric_limits<float>::infinity();
  PackColumnQ8(zeros.data(), 32, 0, variant, panels.data());
  PackColumnQ8(tiny.data(), 32, 1, variant, panels.data());
  PackColumnQ8(damaged.data(), 32, 2, variant, panels.data());
  EXPECT_EQ(panels.Scale(0, 0), 0);
  EXPECT_EQ(panels.Weight(0, 3), 0);
  EXPECT_EQ(panels.Scale(1, 0), 0);
  EXPECT_TRUE(std::isinf(panels.Scale(2, 0)));
}

// Blocks of a file give the panel that the values they were made from give.
TEST(GemmQ8Pack, StoredBlocksAreTakenAsTheyAre) {
  TestRandom random;
  const int64_t blocks = 3;
  for (const GemmQuantizedVariant& variant : GemmQ8Variants()) {
    const auto size = static_cast<size_t>(blocks * variant.block_bytes);
    std::vector<uint8_t> expected(size), actual(size);
    std::vector<float> w(static_cast<size_t>(blocks * kQuantBlock));
    std::vector<uint8_t> stored(static_cast<size_t>(blocks * kQ8BlockBytes));
    for (int64_t j = 0; j < variant.tile_n; ++j) {
      random.Fill(w.data(), w.size(), -1, 1);
      PackColumnQ8(w.data(), blocks * kQuantBlock, j, variant, expected.data());
      for (int64_t b = 0; b < blocks; ++b) {
        int8_t q[kQuantBlock];
        const uint16_t scale = QuantizeBlockQ8(w.data() + b * 32, 32, q);
        std::memcpy(stored.data() + b * kQ8BlockBytes, &scale, 2);
        std::memcpy(stored.data() + b * kQ8BlockBytes + 2, q, 32);
      }
      PackColumnQ8Blocks(stored.data(), blocks, j, variant, actual.data());
    }
    EXPECT_EQ(actual, expected) << variant.name;
  }
}

}  // namespace
}  // namespace fastvlm
