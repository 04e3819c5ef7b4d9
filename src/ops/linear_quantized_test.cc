// Quantized layers by kernels that no machine has: what a table may say one day must work.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "base/quant_block.h"
#include "ops/linear.h"
#include "ops/linear_weights.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr int64_t kTileN = 16, kGroup = 4, kBlockBytes = 34 * kTileN, kWideBytes = 35 * kTileN;

// The definition of kernels/gemm_shared/quantized.h for tiles of one row and panels of 16 columns,
// whose blocks are `block_bytes` apart; `together` blocks are scaled at once.
void Multiply(const GemmQuantizedArgs& args, int64_t block_bytes, int64_t together) {
  for (int64_t i = 0; i < args.rows; ++i) {
    for (int64_t j = 0; j < args.columns; ++j) {
      const uint8_t* w = args.weights + j / kTileN * args.panel_stride;
      const uint8_t* x = args.x + i * args.x_stride;
      float sum = args.start[i * args.start_stride + j];
      for (int64_t b = 0; b < args.blocks; b += together) {
        int32_t dot = 0;
        float x_scale = 0;
        uint16_t w_scale = 0;
        for (int64_t t = 0; t < together; ++t, w += block_bytes, x += kQuantBlock + 8) {
          for (int64_t p = 0; p < kQuantBlock; ++p) {
            const int64_t at = p / kGroup * kTileN * kGroup + j % kTileN * kGroup + p % kGroup;
            dot += static_cast<int8_t>(x[p]) * static_cast<int8_t>(w[at]);
          }
          std::memcpy(&x_scale, x + kQuantBlock, sizeof(x_scale));
          std::memcpy(&w_scale, w + kQuantBlock * kTileN + 2 * (j % kTileN), sizeof(w_scale));
        }
        sum = std::fma(static_cast<float>(dot), x_scale * F32FromF16(w_scale), sum);
      }
      args.y[i * args.y_stride + j] = sum;
    }
  }
}

void Single(const GemmQuantizedArgs& args) { Multiply(args, kBlockBytes, 1); }
void Pairs(const GemmQuantizedArgs& args) { Multiply(args, kBlockBytes, 2); }
void Wide(const GemmQuantizedArgs& args) { Multiply(args, kWideBytes, 1); }
void Widen(const uint8_t* weights, int64_t blocks, uint8_t* wide) {
  for (int64_t b = 0; b < blocks; ++b) {
    std::memcpy(wide + b * kWideBytes, weights + b * kBlockBytes, kBlockBytes);
  }
}

// Has both widen and pairs_fn.
constexpr GemmQuantizedVariant kProduct = {"test", Isa::kScalar, 1,      kTileN,     kGroup, 0,
                                           1,      kBlockBytes,  Single, kWideBytes, Widen,  Wide,
                                           Pairs};

// A row has the same bits whether its kernel unpacks the weights, as for many rows, or does not.
TEST(LinearQuantized, RowsDoNotMatterToAKernelThatUnpacksAndSharesScales) {
  TestRandom random;
  ThreadPool pool(2);
  const QuantizedKernels kernels = {kProduct, QuantizeRowsVariants().back()};
  for (LinearFormat format : {LinearFormat::kQ8, LinearFormat::kQ8Pairs}) {
    for (int64_t k : {64, 1600, 6400}) {  // up to several slices of the depth
      const int64_t m = 50, n = 37;
      std::vector<float> weights(Size(n, k)), x(Size(m, k)), all(Size(m, n)), row(Size(n, 1));
      random.Fill(weights.data(), weights.size(), -1, 1);
      random.Fill(x.data(), x.size(), -1, 1);
      const PackedLinear packed(
          MakeLinearQuantized(WeightSource(weights.data(), WeightType::kF32, n, k), format, kernels,
                              pool),
          nullptr);
      EXPECT_EQ(packed.shares_scales(), format == LinearFormat::kQ8Pairs);
      Buffer<uint8_t> scratch(LinearScratchBytes(packed, m));
      Linear(packed, x.data(), m, k, all.data(), n, {}, scratch.data(), pool);
      for (int64_t i = 0; i < m; ++i) {
        Linear(packed, x.data() + i * k, 1, k, row.data(), n, {}, scratch.data(), pool);
        for (int64_t j = 0; j < n; ++j) {
          ASSERT_EQ(all[Size(i, n) + Size(j, 1)], row[Size(j, 1)]) << k << ": " << i << ", " << j;
        }
      }
      // And both are the product: each value of x and w is a step of 1 / 127 off at most.
      const double deviation = 0.5 / 127 * std::sqrt(static_cast<double>(k));
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += double{x[Size(p, 1)]} * weights[Size(j, k) + Size(p, 1)];
        }
        ASSERT_NEAR(all[Size(j, 1)], sum, 5 * deviation);
      }
    }
  }
}

}  // namespace
}  // namespace fastvlm
