#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention_f32/attention_f32.h"
#include "kernels/attention_f32/pack.h"
#include "support/executed_isa.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr double kUnit = 0x1p-24;

// Rows of q, k and v, and what each query row sees.
struct Problem {
  int64_t rows;
  int64_t keys;
  int64_t head_dim;
  float scale;
  std::vector<float> q, k, v;
  std::vector<int64_t> visible;

  Problem(int64_t rows_in, int64_t keys_in, int64_t head_dim_in, TestRandom& random)
      : rows(rows_in),
        keys(keys_in),
        head_dim(head_dim_in),
        scale(1.0f / std::sqrt(static_cast<float>(head_dim_in))) {
    for (auto [data, count] : {std::pair{&q, rows}, {&k, keys}, {&v, keys}}) {
      data->resize(static_cast<size_t>(count * head_dim));
      random.Fill(data->data(), data->size(), -3, 3);
    }
    visible.resize(static_cast<size_t>(rows));
    for (int64_t& see : visible) see = random.Integer(1, static_cast<int>(keys));
    std::sort(visible.begin(), visible.end());
    visible.back() = keys;
  }
  const float* Q(int64_t r) const { return q.data() + r * head_dim; }
  const float* K(int64_t j) const { return k.data() + j * head_dim; }
  const float* V(int64_t j) const { return v.data() + j * head_dim; }
};

// Output rows of the variant: acc / sum, in exact-sized guarded buffers.
std::vector<float> RunKernel(const AttentionF32Variant& variant, const Problem& p) {
  const int64_t blocks = (p.keys + kAttentionBlock - 1) / kAttentionBlock;
  const int64_t stride = AttentionBlockFloats(p.head_dim) + 3;
  GuardedBuffer<float> packed(
      static_cast<size_t>((blocks - 1) * stride + AttentionBlockFloats(p.head_dim)));
  for (int64_t first = 0; first < p.keys;) {
    // In two pieces, so that a block is also filled from its middle.
    const int64_t place = first % kAttentionBlock;
    const int64_t count = std::min(place == 0 ? 21 : kAttentionBlock - place, p.keys - first);
    PackKeyValue(p.K(first), p.head_dim, p.V(first), p.head_dim, place, count, p.head_dim,
                 packed.data() + first / kAttentionBlock * stride);
    first += count;
  }
  const int64_t tile_rows = EvenTileRows(p.rows, variant.tile_rows);
  const int64_t last_tile = (p.rows - 1) / tile_rows * tile_rows;
  GuardedBuffer<float> q(static_cast<size_t>(last_tile * p.head_dim + (p.head_dim - 1) * tile_rows +
                                             p.rows - last_tile));
  for (int64_t r = 0; r < p.rows; ++r) {
    PackQuery(p.Q(r), p.scale, r, tile_rows, p.head_dim, q.data());
  }
  const int64_t value_dim = AttentionValueDim(p.head_dim);
  GuardedBuffer<float> max(static_cast<size_t>(p.rows));
  GuardedBuffer<float> sum(static_cast<size_t>(p.rows));
  GuardedBuffer<float> acc(static_cast<size_t>(p.rows * value_dim));
  variant.fn({.q = q.data(),
              .tile_rows = tile_rows,
              .rows = p.rows,
              .visible = p.visible.data(),
              .blocks = packed.data(),
              .block_stride = stride,
              .head_dim = p.head_dim,
              .max = max.data(),
              .sum = sum.data(),
              .acc = acc.data()});
  std::vector<float> out;
  for (int64_t r = 0; r < p.rows; ++r) {
    const float* row = acc.data() + r * value_dim;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      out.push_back(row[d] / sum[static_cast<size_t>(r)]);
    }
    if (std::isnan(sum[static_cast<size_t>(r)])) continue;
    for (int64_t d = p.head_dim; d < value_dim; ++d) EXPECT_EQ(row[d], 0.0f);
  }
  return out;
}

void ExpectMatchesDouble(const AttentionF32Variant& variant, const Problem& p) {
  const std::vector<float> actual = RunKernel(variant, p);
  for (int64_t r = 0; r < p.rows; ++r) {
    const int64_t visible = p.visible[static_cast<size_t>(r)];
    std::vector<double> weights(static_cast<size_t>(visible));
    double largest = -std::numeric_limits<double>::infinity();
    double magnitude = 0;
    for (int64_t j = 0; j < visible; ++j) {
      double score = 0;
      double absolute = 0;
      for (int64_t d = 0; d < p.head_dim; ++d) {
        const double product = double{p.Q(r)[d]} * p.scale * p.K(j)[d];
        score += product;
        absolute += std::abs(product);
      }
      weights[static_cast<size_t>(j)] = score;
      largest = std::max(largest, score);
      magnitude = std::max(magnitude, absolute);
    }
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    const double tolerance = 3 *
                             (2 * static_cast<double>(p.head_dim + 4) * magnitude +
                              static_cast<double>(visible) / 8 + 64) *
                             kUnit;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      double expected = 0;
      for (int64_t j = 0; j < visible; ++j) {
        expected += weights[static_cast<size_t>(j)] * p.V(j)[d];
      }
      expected /= sum;
      ASSERT_NEAR(actual[static_cast<size_t>(r * p.head_dim + d)], expected, tolerance)
          << p.rows << " rows, " << p.keys << " keys, head_dim " << p.head_dim << ", row " << r
          << " sees " << visible << ", element " << d;
    }
  }
}

class AttentionF32Test : public ::testing::TestWithParam<AttentionF32Variant> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam().isa)) GTEST_SKIP() << "this CPU has no " << IsaName(GetParam().isa);
  }
};

TEST_P(AttentionF32Test, EveryRowCount) {
  TestRandom random;
  for (int64_t rows = 1; rows <= kAttentionRows; ++rows) {
    for (int64_t keys : {5, 77}) {
      ExpectMatchesDouble(GetParam(), Problem(rows, keys, 8, random));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionF32Test, KeyCountsAndHeadDims) {
  TestRandom random;
  for (int64_t head_dim : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 80, 128}) {
    for (int64_t keys : {1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 128, 129, 257}) {
      ExpectMatchesDouble(GetParam(), Problem(7, keys, head_dim, random));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(AttentionF32Test, RealShapes) {
  TestRandom random;
  for (int64_t head_dim : {32, 64, 128}) {
    for (int64_t rows : {6, 7, 60, 63, 64}) {
      ExpectMatchesDouble(GetParam(), Problem(rows, 300, head_dim, random));
      if (HasFatalFailure()) return;
    }
  }
  ExpectMatchesDouble(GetParam(), Problem(64, 1024, 32, random));
}

TEST_P(AttentionF32Test, LargeScoresDoNotOverflow) {
  TestRandom random;
  Problem p(7, 100, 16, random);
  // The last key scores 1e5 above all others, in a later block than the first maximum.
  std::fill(p.visible.begin(), p.visible.end(), p.keys);
  for (float& x : p.q) x = 100;
  for (size_t i = p.k.size() - 16; i < p.k.size(); ++i) p.k[i] = 1000;
  const std::vector<float> out = RunKernel(GetParam(), p);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], p.V(99)[i % 16]) << i;
}

TEST_P(AttentionF32Test, DenormalsCountAsTheirValue) {
  TestRandom random;
  Problem p(5, 40, 8, random);
  for (float& x : p.k) x = 1e-40f;
  for (float& x : p.v) x = 1e-40f;
  for (float value : RunKernel(GetParam(), p)) EXPECT_NEAR(value, 1e-40, 1e-43);
}

TEST_P(AttentionF32Test, NanReachesRowsThatSeeIt) {
  TestRandom random;
  for (bool in_key : {true, false}) {
    Problem p(13, 70, 8, random);
    std::fill(p.visible.begin(), p.visible.begin() + 12, 64);
    (in_key ? p.k : p.v)[69 * 8 + 3] = std::nanf("");
    const std::vector<float> out = RunKernel(GetParam(), p);
    EXPECT_TRUE(std::isnan(out[12 * 8 + 3])) << in_key;
    // In a block of its own it cannot reach those who do not see it.
    for (size_t i = 0; i < 8; ++i) EXPECT_FALSE(std::isnan(out[i])) << in_key;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, AttentionF32Test,
                         ::testing::ValuesIn(AttentionF32Variants().begin(),
                                             AttentionF32Variants().end()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(AttentionF32Dispatch, ForcedIsaRuns) {
  TestRandom random;
  const Problem problem(2, 3, 64, random);
  ExpectForcedIsaRuns(AttentionF32Variants(), BestAttentionF32,
                      [&](const AttentionF32Variant& variant) { RunKernel(variant, problem); });
}

TEST(AttentionF32Pack, TilesAreEven) {
  EXPECT_EQ(EvenTileRows(7, 6), 4);
  EXPECT_EQ(EvenTileRows(64, 6), 6);
  EXPECT_EQ(EvenTileRows(64, 12), 11);
  EXPECT_EQ(EvenTileRows(1, 12), 1);
}

}  // namespace
}  // namespace fastvlm
