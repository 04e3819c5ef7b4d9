#include "ops/attention.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

constexpr double kUnit = 0x1p-24;

// Tolerance of one output element: the bound in kernels/attention_f32 for inputs in [-2, 2], with a
// unit for the division and the combination of ranges.
double Tolerance(int64_t keys, int64_t head_dim) {
  const double magnitude = 4 * std::sqrt(static_cast<double>(head_dim));
  return 2 *
         (2 * static_cast<double>(head_dim + 4) * magnitude + static_cast<double>(keys) / 8 + 68) *
         kUnit;
}

// softmax(q k^T / sqrt(head_dim)) v of one query row, in double.
std::vector<double> ReferenceRow(const float* q, const float* k, int64_t k_stride, const float* v,
                                 int64_t v_stride, int64_t keys, int64_t head_dim) {
  std::vector<double> weights(static_cast<size_t>(keys));
  double max = -HUGE_VAL;
  for (int64_t j = 0; j < keys; ++j) {
    double score = 0;
    for (int64_t d = 0; d < head_dim; ++d) score += double{q[d]} * k[j * k_stride + d];
    weights[static_cast<size_t>(j)] = score / std::sqrt(static_cast<double>(head_dim));
    max = std::max(max, weights[static_cast<size_t>(j)]);
  }
  double sum = 0;
  std::vector<double> out(static_cast<size_t>(head_dim));
  for (int64_t j = 0; j < keys; ++j) {
    const double weight = std::exp(weights[static_cast<size_t>(j)] - max);
    sum += weight;
    for (int64_t d = 0; d < head_dim; ++d) {
      out[static_cast<size_t>(d)] += weight * v[j * v_stride + d];
    }
  }
  for (double& x : out) x /= sum;
  return out;
}

std::vector<float> RunSelf(const std::vector<float>& qkv, int64_t tokens, int64_t heads,
                           int64_t head_dim, int threads) {
  ThreadPool pool(threads);
  GuardedBuffer<float> out(static_cast<size_t>(tokens * heads * head_dim));
  GuardedBuffer<float> scratch(SelfAttentionScratchFloats(tokens, heads, head_dim, threads));
  SelfAttention(qkv.data(), tokens, heads, head_dim, out.data(), scratch.data(), pool);
  return {out.data(), out.data() + out.size()};
}

TEST(SelfAttention, MatchesDouble) {
  TestRandom random;
  const int64_t heads = 3;
  for (int64_t head_dim : {1, 8, 16, 32, 64, 80, 128}) {
    for (int64_t tokens : {1, 2, 3, 16, 63, 64, 65, 131}) {
      const int64_t width = heads * head_dim;
      const std::vector<float> qkv = RandomValues(random, tokens * 3 * width, -2, 2);
      const std::vector<float> out = RunSelf(qkv, tokens, heads, head_dim, 2);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t h = 0; h < heads; ++h) {
          const float* row = qkv.data() + h * head_dim;
          const std::vector<double> expected =
              ReferenceRow(row + t * 3 * width, row + width, 3 * width, row + 2 * width, 3 * width,
                           tokens, head_dim);
          for (int64_t d = 0; d < head_dim; ++d) {
            ASSERT_NEAR(out[static_cast<size_t>(t * width + h * head_dim + d)],
                        expected[static_cast<size_t>(d)], Tolerance(tokens, head_dim))
                << tokens << " tokens, head_dim " << head_dim << ", token " << t << ", head " << h;
          }
        }
      }
    }
  }
}

TEST(SelfAttention, DoesNotDependOnThreads) {
  TestRandom random;
  const std::vector<float> qkv = RandomValues(random, 197 * 3 * 5 * 32, -2, 2);
  const std::vector<float> expected = RunSelf(qkv, 197, 5, 32, 1);
  for (int threads : {2, 3, 7}) EXPECT_EQ(RunSelf(qkv, 197, 5, 32, threads), expected) << threads;
}

// Rotated queries and keys, and values, of a sequence, and attention over them in any pieces.
class Sequence {
 public:
  Sequence(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t head_dim, TestRandom& random)
      : tokens_(tokens),
        heads_(heads),
        kv_heads_(kv_heads),
        head_dim_(head_dim),
        q_(RandomValues(random, tokens * QStride(), -2, 2)),
        k_(RandomValues(random, tokens * KvStride(), -2, 2)),
        v_(RandomValues(random, tokens * KvStride(), -2, 2)) {}

  // All tokens in chunks of `chunk`, each stored and then attended.
  std::vector<float> Run(int64_t chunk, int threads) const {
    ThreadPool pool(threads);
    KvLayer kv(kv_heads_, head_dim_, tokens_);
    std::vector<float> result;
    GuardedBuffer<float> scratch(
        CausalAttentionScratchFloats(chunk, 1, heads_, head_dim_, tokens_, threads));
    for (int64_t start = 0; start < tokens_; start += chunk) {
      const int64_t count = std::min(chunk, tokens_ - start);
      kv.Store(k_.data() + start * KvStride(), KvStride(), v_.data() + start * KvStride(),
               KvStride(), count, start);
      const int64_t out_stride = heads_ * head_dim_ + 2;
      GuardedBuffer<float> out(static_cast<size_t>(count * out_stride - 2));
      const CausalSegment segment{count, start, &kv};
      CausalAttention(q_.data() + start * QStride(), QStride(), {&segment, 1}, heads_, out.data(),
                      out_stride, scratch.data(), pool);
      for (int64_t t = 0; t < count; ++t) {
        const float* row = out.data() + t * out_stride;
        result.insert(result.end(), row, row + heads_ * head_dim_);
        if (t + 1 < count) {
          EXPECT_TRUE(GuardedBuffer<float>::IsPoison(row[out_stride - 1]));
        }
      }
    }
    return result;
  }

  // The tokens cut into segments of random sizes that all are computed at once.
  std::vector<float> RunAtOnce(int threads, TestRandom& random) const {
    ThreadPool pool(threads);
    KvLayer kv(kv_heads_, head_dim_, tokens_);
    kv.Store(k_.data(), KvStride(), v_.data(), KvStride(), tokens_, 0);
    std::vector<CausalSegment> segments;
    for (int64_t start = 0; start < tokens_;) {
      const int most = random.Integer(0, 9) < 8 ? 3 : 100;
      const int64_t count = std::min<int64_t>(random.Integer(1, most), tokens_ - start);
      segments.push_back({count, start, &kv});
      start += count;
    }
    std::vector<float> out(static_cast<size_t>(tokens_ * heads_ * head_dim_));
    GuardedBuffer<float> scratch(CausalAttentionScratchFloats(
        tokens_, static_cast<int64_t>(segments.size()), heads_, head_dim_, tokens_, threads));
    CausalAttention(q_.data(), QStride(), segments, heads_, out.data(), heads_ * head_dim_,
                    scratch.data(), pool);
    return out;
  }

  void ExpectMatchesDouble(const std::vector<float>& out) const {
    for (int64_t t = 0; t < tokens_; ++t) {
      for (int64_t h = 0; h < heads_; ++h) {
        const int64_t kv_at = h / (heads_ / kv_heads_) * head_dim_;
        const std::vector<double> expected =
            ReferenceRow(q_.data() + t * QStride() + h * head_dim_, k_.data() + kv_at, KvStride(),
                         v_.data() + kv_at, KvStride(), t + 1, head_dim_);
        for (int64_t d = 0; d < head_dim_; ++d) {
          ASSERT_NEAR(out[static_cast<size_t>((t * heads_ + h) * head_dim_ + d)],
                      expected[static_cast<size_t>(d)], Tolerance(t + 1, head_dim_))
              << tokens_ << " tokens, " << heads_ << "/" << kv_heads_ << " heads of " << head_dim_
              << ", token " << t << ", head " << h;
        }
      }
    }
  }

 private:
  int64_t QStride() const { return heads_ * head_dim_ + 3; }
  int64_t KvStride() const { return kv_heads_ * head_dim_ + 1; }

  int64_t tokens_, heads_, kv_heads_, head_dim_;
  std::vector<float> q_, k_, v_;
};

TEST(CausalAttention, MatchesDouble) {
  TestRandom random;
  for (int64_t head_dim : {1, 8, 16, 32, 64, 80, 128}) {
    for (auto [heads, kv_heads] : {std::pair{2, 2}, {3, 1}, {12, 2}, {14, 2}}) {
      for (int64_t tokens : {1, 2, 3, 17, 67, 130}) {
        const Sequence sequence(tokens, heads, kv_heads, head_dim, random);
        sequence.ExpectMatchesDouble(sequence.Run(tokens, 2));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// One piece, chunks and single tokens give the same bits: answers must not depend on who else runs
// or on what a cache knew before.
TEST(CausalAttention, ARowDependsOnItsPositionOnly) {
  TestRandom random;
  for (auto [heads, kv_heads, head_dim] : {std::array{14, 2, 16}, {3, 1, 64}, {2, 2, 80}}) {
    const Sequence sequence(700, heads, kv_heads, head_dim, random);
    const std::vector<float> expected = sequence.Run(1, 1);
    sequence.ExpectMatchesDouble(expected);
    if (HasFatalFailure()) return;
    for (int64_t chunk : {700, 256, 100, 33, 7}) {
      EXPECT_EQ(sequence.Run(chunk, 1), expected) << "chunks of " << chunk;
    }
    for (int threads : {1, 2}) EXPECT_EQ(sequence.RunAtOnce(threads, random), expected);
  }
}

// Chunks whose rows straddle key ranges: some rows see nothing of the last range.
TEST(CausalAttention, ShortChunksAtDepth) {
  TestRandom random;
  const Sequence sequence(560, 2, 2, 8, random);
  for (int64_t chunk : {2, 5, 31, 64, 65}) {
    sequence.ExpectMatchesDouble(sequence.Run(chunk, 3));
    if (HasFatalFailure()) return;
  }
}

TEST(CausalAttention, DoesNotDependOnThreads) {
  TestRandom random;
  const Sequence sequence(330, 14, 2, 8, random);
  for (int64_t chunk : {330, 77, 1}) {
    const std::vector<float> expected = sequence.Run(chunk, 1);
    for (int threads : {2, 3, 7}) {
      EXPECT_EQ(sequence.Run(chunk, threads), expected) << "chunk " << chunk << ", " << threads;
    }
  }
}

TEST(CausalAttention, ScratchForMoreServesLess) {
  for (int64_t tokens = 1; tokens < 300; ++tokens) {
    EXPECT_LE(CausalAttentionScratchFloats(tokens, 3, 14, 64, 5000, 2),
              CausalAttentionScratchFloats(tokens + 1, 4, 14, 64, 5001, 2));
  }
}

}  // namespace
}  // namespace fastvlm
