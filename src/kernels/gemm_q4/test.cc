#include "kernels/gemm_q4/gemm_q4.h"

#include <cstring>

#include "kernels/gemm_q4/pack.h"
#include "kernels/gemm_shared/test_quantized.h"
#include "support/executed_isa.h"

namespace fastvlm {
namespace {

constexpr QuantizedFormat kFormat = {-8, 7, true};

INSTANTIATE_TEST_SUITE_P(Variants, GemmQuantizedTest,
                         ::testing::ValuesIn(QuantizedCases(kFormat, GemmQ4Variants())),
                         QuantizedCaseName);

TEST(GemmQ4Dispatch, ForcedIsaRuns) {
  ExpectForcedIsaRuns(GemmQ4Variants(), BestGemmQ4, [](const GemmQuantizedVariant& variant) {
    QuantizedProblem({kFormat, variant}, 1, variant.tile_n, 1, 0).Run(false);
  });
}

// Every weight comes back within half a step of its block, except that +8 steps are cut to 7, in
// every variant's layout.
TEST(GemmQ4Pack, QuantizesToTheNearestStep) {
  TestRandom random;
  const int64_t k = 75, blocks = 3;
  for (const GemmQuantizedVariant& variant : GemmQ4Variants()) {
    const int64_t columns = variant.tile_n;
    QuantizedPanels panels({kFormat, variant}, columns, blocks);
    std::vector<float> w(static_cast<size_t>(k));
    for (int64_t j = 0; j < columns; ++j) {
      random.Fill(w.data(), w.size(), -1, 1);
      w[static_cast<size_t>(j)] = j % 2 == 0 ? 1.5f : -1.5f;
      PackColumnQ4(w.data(), k, j, variant, panels.data());
      for (int64_t p = 0; p < blocks * kQuantBlock; ++p) {
        const float scale = panels.Scale(j, p / kQuantBlock);
        const float value = static_cast<float>(panels.Weight(j, p)) * scale;
        const float expected = p < k ? w[static_cast<size_t>(p)] : 0;
        ASSERT_LE(std::fabs(value - expected), std::fabs(scale) * 1.01f) << variant.name;
        if (std::fabs(expected) < 7 * std::fabs(scale)) {
          ASSERT_LE(std::fabs(value - expected), std::fabs(scale) * 0.501f) << variant.name;
        }
      }
      EXPECT_EQ(panels.Weight(j, j), -8);
    }
  }
}

// Blocks of a file give the panel that the values they were made from give.
TEST(GemmQ4Pack, StoredBlocksAreTakenAsTheyAre) {
  TestRandom random;
  const int64_t blocks = 3;
  for (const GemmQuantizedVariant& variant : GemmQ4Variants()) {
    const auto size = static_cast<size_t>(blocks * variant.block_bytes);
    std::vector<uint8_t> expected(size), actual(size);
    std::vector<float> w(static_cast<size_t>(blocks * kQuantBlock));
    std::vector<uint8_t> stored(static_cast<size_t>(blocks * kQ4BlockBytes));
    for (int64_t j = 0; j < variant.tile_n; ++j) {
      random.Fill(w.data(), w.size(), -1, 1);
      PackColumnQ4(w.data(), blocks * kQuantBlock, j, variant, expected.data());
      for (int64_t b = 0; b < blocks; ++b) {
        int8_t q[kQuantBlock];
        const uint16_t scale = QuantizeBlockQ4(w.data() + b * 32, 32, q);
        std::memcpy(stored.data() + b * kQ4BlockBytes, &scale, 2);
        for (int i = 0; i < 16; ++i) {
          stored[static_cast<size_t>(b * kQ4BlockBytes + 2 + i)] =
              static_cast<uint8_t>((q[i] + 8) | (q[i + 16] + 8) << 4);
        }
      }
      PackColumnQ4Blocks(stored.data(), blocks, j, variant, actual.data());
    }
    EXPECT_EQ(actual, expected) << variant.name;
  }
}

}  // namespace
}  // namespace fastvlm
