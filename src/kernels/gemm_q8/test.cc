#include "kernels/gemm_q8/gemm_q8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/gemm_q8/pack.h"
#include "kernels/gemm_shared/test_quantized.h"
#include "support/executed_isa.h"

namespace fastvlm {
namespace {

constexpr QuantizedFormat kFormat = {-127, 127, false};

INSTANTIATE_TEST_SUITE_P(Variants, GemmQuantizedTest,
                         ::testing::ValuesIn(QuantizedCases(kFormat, GemmQ8Variants())),
                         QuantizedCaseName);

TEST(GemmQ8Dispatch, ForcedIsaRuns) {
  ExpectForcedIsaRuns(GemmQ8Variants(), BestGemmQ8, [](const GemmQuantizedVariant& variant) {
    QuantizedProblem({kFormat, variant}, 1, variant.tile_n, 1, 0).Run(false);
  });
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

// Of equal scales, what the products of single blocks give but for the order of the sums.
TEST(GemmQ8Pairs, ScalesTwoBlocksAtOnce) {
  TestRandom random;
  for (const GemmQuantizedVariant& variant : GemmQ8Variants()) {
    if (variant.pairs_fn == nullptr || !CpuSupports(variant.isa)) continue;
    const int64_t m = variant.tile_m;
    for (int64_t rows : {int64_t{1}, int64_t{2}, m - 1, m, 2 * m + 5}) {
      for (int64_t blocks : {2, 6, 48}) {
        const int64_t columns = random.Integer(1, 5 * static_cast<int>(variant.tile_n));
        QuantizedProblem problem({kFormat, variant}, rows, columns, blocks, 3);
        problem.Randomize(random);
        for (int64_t b = 0; b < blocks; b += 2) {
          for (int64_t i = 0; i < rows; ++i) problem.SetXScale(i, b + 1, problem.XScale(i, b));
          for (int64_t j = 0; j < columns; ++j) {
            problem.weights.SetScale(j, b + 1, F16FromF32(problem.weights.Scale(j, b)));
          }
        }
        problem.RunPairs();
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < columns; ++j) {
            float sum = problem.start(j);
            for (int64_t b = 0; b < blocks; b += 2) {
              int32_t dot = 0;
              for (int64_t p = b * kQuantBlock; p < (b + 2) * kQuantBlock; ++p) {
                dot += problem.X(i, p) * problem.weights.Weight(j, p);
              }
              sum = std::fma(static_cast<float>(dot),
                             problem.XScale(i, b) * problem.weights.Scale(j, b), sum);
            }
            ASSERT_EQ(problem.y(i, j), sum) << rows << " x " << columns << " at " << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST(GemmQ8Pairs, WeightsTakeTheGreaterScale) {
  TestRandom random;
  for (const GemmQuantizedVariant& variant : GemmQ8Variants()) {
    const int64_t blocks = 4, k = blocks * kQuantBlock, columns = variant.tile_n;
    QuantizedPanels panels({kFormat, variant}, columns, blocks);
    QuantizedPanels single({kFormat, variant}, columns, blocks);
    std::vector<float> w(static_cast<size_t>(k));
    for (int64_t j = 0; j < columns; ++j) {
      random.Fill(w.data(), w.size(), -1, 1);
      // All sizes beside each other; a column of zeros and one with a zero block.
      for (size_t p = 0; p < 32; ++p) w[p] *= j % 3 == 0 ? 0.3f : 2.0f;
      if (j == 1) std::fill(w.begin(), w.end(), 0.0f);
      if (j == 2) std::fill_n(w.begin(), 32, 0.0f);
      PackColumnQ8(w.data(), k, j, variant, panels.data());
      PackColumnQ8(w.data(), k, j, variant, single.data());
    }
    ShareScalesOfPairs(blocks, columns, variant, panels.data());
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t p = 0; p < k; ++p) {
        const int64_t b = p / kQuantBlock;
        const float scale = panels.Scale(j, b);
        EXPECT_EQ(scale, std::max(single.Scale(j, b), single.Scale(j, b ^ 1)));
        const float before = static_cast<float>(single.Weight(j, p)) * single.Scale(j, b);
        const float after = static_cast<float>(panels.Weight(j, p)) * scale;
        if (scale == single.Scale(j, b)) {
          EXPECT_EQ(after, before);
        } else {
          EXPECT_NEAR(after, before, 0.5001f * scale);
        }
      }
    }
  }
}

TEST(GemmQ8Pairs, DamagedScalesStay) {
  const GemmQuantizedVariant& variant = GemmQ8Variants().front();
  QuantizedPanels panels({kFormat, variant}, variant.tile_n, 2);
  const float inf = std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < 3; ++j) {
    panels.SetScale(j, 0, F16FromF32(0.5f));
    panels.SetScale(j, 1, F16FromF32(j == 0 ? inf : j == 1 ? NAN : -1.0f));
    panels.SetWeight(j, 3, 100);
    panels.SetWeight(j, 35, 100);
  }
  ShareScalesOfPairs(2, 3, variant, panels.data());
  EXPECT_TRUE(std::isinf(panels.Scale(0, 0)) && std::isinf(panels.Scale(0, 1)));
  EXPECT_TRUE(std::isnan(panels.Scale(1, 0)) && std::isnan(panels.Scale(1, 1)));
  EXPECT_EQ(panels.Scale(2, 0), -1.0f);
  EXPECT_EQ(panels.Weight(2, 3), -50);
  EXPECT_EQ(panels.Weight(2, 35), 100);
}

}  // namespace
}  // namespace fastvlm
