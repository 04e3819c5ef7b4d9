#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/quantize_rows/quantize_rows.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr int64_t kBlock = 32;
constexpr int32_t kFactor = -128;

class QuantizeRowsTest : public ::testing::TestWithParam<QuantizeRowsVariant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

struct Quantized {
  std::vector<int> q;
  std::vector<float> scale;
  std::vector<int32_t> sum;
};

// One output of a variant, from and to buffers that end at unreadable pages.
template <typename Q>
Quantized QuantizeTo(void (*quantize)(const QuantizeRowsArgs&), GuardedBuffer<float>& x,
                     int64_t rows, int64_t depth, int64_t x_stride, int64_t tile_rows) {
  const int64_t blocks = (depth + kBlock - 1) / kBlock;
  const int64_t block_bytes = QuantizedBlockBytes(tile_rows, sizeof(Q));
  GuardedBuffer<uint8_t> tiles(Size((rows + tile_rows - 1) / tile_rows, blocks * block_bytes));
  std::fill_n(tiles.data(), tiles.size(), uint8_t{0xee});
  QuantizeRowsArgs args;
  args.rows = rows;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = x_stride;
  args.tile_rows = tile_rows;
  args.tiles = tiles.data();
  args.tile_stride = blocks * block_bytes;
  args.start_factor = kFactor;
  quantize(args);
  Quantized result;
  std::vector<bool> written(tiles.size());
  const auto read = [&](size_t at, auto& value) {
    std::memcpy(&value, tiles.data() + at, sizeof(value));
    std::fill_n(written.begin() + static_cast<ptrdiff_t>(at), sizeof(value), true);
  };
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t b = 0; b < blocks; ++b) {
      const size_t block = Size(i / tile_rows, args.tile_stride) + Size(b, block_bytes);
      const size_t row = Size(i % tile_rows, 1), scales = block + Size(tile_rows, 32 * sizeof(Q));
      for (size_t p = 0; p < 32; ++p) {
        Q q;
        read(block + (row * 32 + p) * sizeof(Q), q);
        result.q.push_back(q);
      }
      read(scales + row * 4, result.scale.emplace_back());
      int32_t start;
      read(scales + (Size(tile_rows, 1) + row) * 4, start);
      EXPECT_EQ(start % kFactor, 0);
      result.sum.push_back(start / kFactor);
    }
  }
  for (size_t at = 0; at < tiles.size(); ++at) {
    EXPECT_TRUE(written[at] || tiles[at] == 0xee) << "byte " << at << " of a row that is not there";
  }
  return result;
}

// Both outputs of a variant, which must agree, in tiles of any height.
Quantized Quantize(const QuantizeRowsVariant& variant, GuardedBuffer<float>& x, int64_t rows,
                   int64_t depth, int64_t x_stride) {
  const Quantized result = QuantizeTo<int8_t>(variant.to_int8, x, rows, depth, x_stride, 1);
  for (int64_t tile_rows : {1, 2, 6, 12}) {
    for (const Quantized& other :
         {QuantizeTo<int8_t>(variant.to_int8, x, rows, depth, x_stride, tile_rows),
          QuantizeTo<int16_t>(variant.to_int16, x, rows, depth, x_stride, tile_rows)}) {
      EXPECT_EQ(result.q, other.q);
      EXPECT_EQ(std::memcmp(result.scale.data(), other.scale.data(), result.scale.size() * 4), 0);
      EXPECT_EQ(result.sum, other.sum);
    }
  }
  return result;
}

TEST_P(QuantizeRowsTest, IsWithinHalfAStep) {
  TestRandom random;
  for (int64_t depth : {1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 131, 896}) {
    for (int64_t rows : {1, 2, 5, 13}) {
      const int64_t stride = depth + random.Integer(0, 3);
      GuardedBuffer<float> x(Size(rows - 1, stride) + Size(depth, 1));
      random.Fill(x.data(), x.size(), -3, 2);
      const Quantized result = Quantize(GetParam(), x, rows, depth, stride);
      const int64_t blocks = (depth + kBlock - 1) / kBlock;
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t b = 0; b < blocks; ++b) {
          const size_t at = Size(i, blocks) + Size(b, 1);
          float max = 0;
          int sum = 0;
          for (int64_t p = b * kBlock; p < (b + 1) * kBlock; ++p) {
            const float value = p < depth ? x[Size(i, stride) + Size(p, 1)] : 0;
            const int q = result.q[Size(i * blocks, kBlock) + Size(p, 1)];
            max = std::max(max, std::fabs(value));
            sum += q;
            ASSERT_NEAR(static_cast<float>(q) * result.scale[at], value, 0.5001f * result.scale[at])
                << depth << " at " << i << ", " << p;
          }
          EXPECT_EQ(result.scale[at], max / 127);
          EXPECT_EQ(result.sum[at], sum);
        }
      }
    }
  }
}

TEST_P(QuantizeRowsTest, EveryInstructionSetGivesTheSameBits) {
  TestRandom random;
  const int64_t rows = 7, depth = 331;
  GuardedBuffer<float> x(Size(rows, depth));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::ldexp(random.Uniform(-1, 1), random.Integer(-40, 40));
  }
  const Quantized expected = Quantize(QuantizeRowsVariants().back(), x, rows, depth, depth);
  const Quantized actual = Quantize(GetParam(), x, rows, depth, depth);
  EXPECT_EQ(actual.q, expected.q);
  EXPECT_EQ(actual.scale, expected.scale);
  EXPECT_EQ(actual.sum, expected.sum);
}

// A pair is a block of 64 values whose halves lie apart.
TEST_P(QuantizeRowsTest, PairsShareTheirScale) {
  const auto pairs_to_int8 = GetParam().pairs_to_int8;
  if (pairs_to_int8 == nullptr) GTEST_SKIP() << "has none";
  TestRandom random;
  for (int64_t depth : {64, 128, 384}) {
    for (int64_t rows : {1, 3, 4, 12, 17}) {
      GuardedBuffer<float> x(Size(rows, depth));
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = std::ldexp(random.Uniform(-1, 1), random.Integer(-40, 40));
      }
      x[0] = 0;
      if (rows == 3) x[Size(depth, 2)] = NAN;
      if (rows == 4) std::fill_n(x.data(), depth, 0.0f);
      const Quantized actual = QuantizeTo<int8_t>(pairs_to_int8, x, rows, depth, depth, 12);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t b = 0; b < depth / kBlock; b += 2) {
          const size_t at = Size(i, depth / kBlock) + Size(b, 1);
          float max = 0;
          int sum = 0;
          for (int64_t p = b * kBlock; p < (b + 2) * kBlock; ++p) {
            const float value = std::fabs(x[Size(i, depth) + Size(p, 1)]);
            if (std::isnan(value) || value > max) max = value;  // NaN stays
          }
          const float inverse = std::min(127 / max, 3.402823466e38f);
          for (int64_t p = b * kBlock; p < (b + 2) * kBlock; ++p) {
            const float value = x[Size(i, depth) + Size(p, 1)];
            const int q = actual.q[Size(i, depth) + Size(p, 1)];
            const bool usable = std::isfinite(max) && max != 0;
            ASSERT_EQ(q, usable ? static_cast<int>(std::nearbyint(value * inverse)) : 0);
            sum += q;
          }
          for (size_t half : {at, at + 1}) {
            if (std::isnan(max)) {
              EXPECT_TRUE(std::isnan(actual.scale[half]));
            } else {
              EXPECT_EQ(actual.scale[half], max / 127);
            }
          }
          EXPECT_EQ(actual.sum[at], sum);
          EXPECT_EQ(actual.sum[at + 1], 0);
        }
      }
    }
  }
}

TEST_P(QuantizeRowsTest, Extremes) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  GuardedBuffer<float> x(Size(kBlock, 1));
  const auto run = [&](float first, float others) {
    std::fill_n(x.data(), kBlock, others);
    x[0] = first;
    return Quantize(GetParam(), x, 1, kBlock, kBlock);
  };
  EXPECT_EQ(run(0, 0).scale[0], 0);
  EXPECT_EQ(run(-0.0f, 0).q, std::vector<int>(32, 0));
  EXPECT_EQ(run(3.4e38f, -3.4e38f).q[0], 127);
  EXPECT_EQ(run(3.4e38f, -3.4e38f).q[1], -127);
  EXPECT_EQ(run(1e-44f, 0).q[1], 0);
  EXPECT_LE(std::abs(run(1e-44f, -1e-44f).q[0]), 127);
  EXPECT_EQ(run(63.5f, 127).q[0], 64);  // half to even
  EXPECT_EQ(run(62.5f, 127).q[0], 62);
  EXPECT_TRUE(std::isnan(run(NAN, 1).scale[0]));
  EXPECT_TRUE(std::isnan(run(1, NAN).scale[0]));
  EXPECT_EQ(run(-kInf, 1).scale[0], kInf);
  EXPECT_EQ(run(-kInf, 1).q, std::vector<int>(32, 0));
}

INSTANTIATE_TEST_SUITE_P(Variants, QuantizeRowsTest,
                         ::testing::ValuesIn(QuantizeRowsVariants().begin(),
                                             QuantizeRowsVariants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(QuantizeRowsDispatch, ForcedIsaRuns) {
  const std::vector<float> x(64, 1.0f);
  std::vector<uint8_t> tiles(Size(2, QuantizedBlockBytes(1, 2)));
  QuantizeRowsArgs args;
  args.rows = 1;
  args.depth = 64;
  args.x = x.data();
  args.x_stride = 64;
  args.tiles = tiles.data();
  ExpectForcedIsaRuns(QuantizeRowsVariants(), BestQuantizeRows,
                      [&](const QuantizeRowsVariant& variant) { variant.to_int8(args); });
  ExpectForcedIsaRuns(QuantizeRowsVariants(), BestQuantizeRows,
                      [&](const QuantizeRowsVariant& variant) { variant.to_int16(args); });
}

}  // namespace
}  // namespace fastvlm
