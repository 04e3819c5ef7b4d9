#include "ops/kv_layer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <vector>

#include "base/float16.h"
#include "kernels/attention_f32/attention_f32.h"
#include "ops/attention.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

float Rounded(float x) { return F32FromF16(F16FromF32(x)); }

// What 8 bits in blocks of 32 leave of a head.
std::vector<float> Quantized(const float* x, int64_t head_dim) {
  std::vector<float> out;
  for (int64_t first = 0; first < head_dim; first += 32) {
    const int64_t end = std::min(first + 32, head_dim);
    float largest = 0;
    for (int64_t d = first; d < end; ++d) largest = std::max(largest, std::abs(x[d]));
    const float scale = largest / 127;
    for (int64_t d = first; d < end; ++d) {
      out.push_back(scale > 0 ? std::nearbyint(x[d] / scale) * scale : 0);
    }
  }
  return out;
}

// Rows [tokens, kv_heads * head_dim] as a cache of the type holds them.
std::vector<float> Held(KvType type, const std::vector<float>& rows, int64_t head_dim) {
  std::vector<float> out;
  for (size_t i = 0; i < rows.size(); i += static_cast<size_t>(head_dim)) {
    if (type == KvType::kQ8) {
      const std::vector<float> head = Quantized(rows.data() + i, head_dim);
      out.insert(out.end(), head.begin(), head.end());
    } else {
      for (size_t d = 0; d < static_cast<size_t>(head_dim); ++d) {
        out.push_back(Rounded(rows[i + d]));
      }
    }
  }
  return out;
}

// Attention of the last `queries` tokens over all of them, stored in pieces.
std::vector<float> Attend(KvType type, const std::vector<float>& q, const std::vector<float>& k,
                          const std::vector<float>& v, int64_t heads, int64_t kv_heads,
                          int64_t head_dim, int64_t queries) {
  const int64_t width = kv_heads * head_dim;
  const int64_t tokens = static_cast<int64_t>(k.size()) / width;
  ThreadPool pool(2);
  KvLayer kv(kv_heads, head_dim, tokens, type);
  for (int64_t start = 0; start < tokens; start += 21) {
    kv.Store(k.data() + start * width, width, v.data() + start * width, width,
             std::min<int64_t>(21, tokens - start), start);
  }
  GuardedBuffer<float> scratch(
      CausalAttentionScratchFloats(queries, 1, heads, head_dim, tokens, pool.threads()));
  std::vector<float> out(static_cast<size_t>(queries * heads * head_dim));
  const CausalSegment segment{queries, tokens - queries, &kv};
  CausalAttention(q.data(), heads * head_dim, {&segment, 1}, heads, out.data(), heads * head_dim,
                  scratch.data(), pool);
  return out;
}

// The products are the same, so what was held in fewer bits is all that may differ.
TEST(KvLayer, AttentionIsThatOverWhatIsHeld) {
  TestRandom random;
  for (int64_t head_dim : {1, 8, 31, 32, 33, 64, 80, 128}) {
    for (int64_t tokens : {1, 17, 64, 65, 300}) {
      for (int64_t queries : {int64_t{1}, tokens}) {
        const std::vector<float> q = RandomValues(random, queries * 4 * head_dim, -2, 2);
        const std::vector<float> k = RandomValues(random, tokens * 2 * head_dim, -2, 2);
        const std::vector<float> v = RandomValues(random, tokens * 2 * head_dim, -2, 2);
        for (KvType type : {KvType::kF16, KvType::kQ8}) {
          EXPECT_EQ(Attend(type, q, k, v, 4, 2, head_dim, queries),
                    Attend(KvType::kF32, q, Held(type, k, head_dim), Held(type, v, head_dim), 4, 2,
                           head_dim, queries))
              << "head_dim " << head_dim << ", " << tokens << " tokens, " << queries << " queries";
        }
      }
    }
  }
}

TEST(KvLayer, BeyondTheRangeOfF16IsItsLargest) {
  const std::vector<float> q(8, 0.0f), k(8, -1e30f), v(8, 1e30f);
  for (float x : Attend(KvType::kF16, q, k, v, 1, 1, 8, 1)) EXPECT_EQ(x, 65504.0f);
}

TEST(KvLayer, ZerosStayZeros) {
  const std::vector<float> zeros(40, 0.0f);
  for (float x : Attend(KvType::kQ8, zeros, zeros, zeros, 1, 1, 40, 1)) EXPECT_EQ(x, 0.0f);
}

TEST(KvLayer, LaterTokensReplaceEarlierOnes) {
  TestRandom random;
  const std::vector<float> wrong = RandomValues(random, 40 * 8, -2, 2);
  const std::vector<float> right = RandomValues(random, 40 * 8, -2, 2);
  ThreadPool pool(1);
  std::vector<float> results[2];
  for (bool overwrite : {false, true}) {
    KvLayer kv(1, 8, 40);
    if (overwrite) kv.Store(wrong.data(), 8, wrong.data(), 8, 40, 0);
    kv.Store(right.data(), 8, right.data(), 8, 40, 0);
    std::vector<float> scratch(CausalAttentionScratchFloats(1, 1, 2, 8, 40, 1));
    results[overwrite].resize(16);
    const CausalSegment segment{1, 29, &kv};
    CausalAttention(wrong.data(), 16, {&segment, 1}, 2, results[overwrite].data(), 16,
                    scratch.data(), pool);
  }
  EXPECT_EQ(results[0], results[1]);
}

size_t ResidentBytesOfProcess() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(KvLayer, MemoryGrowsWithTokensStored) {
  const int64_t tokens = 10000;
  const std::vector<float> rows(static_cast<size_t>(tokens * 128), 1.0f);
  KvLayer kv(2, 64, 1 << 20);  // 1 GiB
  const size_t before = ResidentBytesOfProcess();
  kv.Store(rows.data(), 128, rows.data(), 128, tokens, 0);
  const size_t grown = ResidentBytesOfProcess() - before;
  EXPECT_EQ(kv.ResidentBytes(tokens), 10048u * 128 * 2 * 4);  // whole blocks of 64 tokens
  EXPECT_GE(grown, kv.ResidentBytes(tokens) * 9 / 10);
  EXPECT_LE(grown, kv.ResidentBytes(tokens) + (size_t{8} << 20));
}

TEST(KvLayer, FewerBitsTakeLessMemory) {
  EXPECT_EQ(KvLayer(2, 64, 64, KvType::kF16).ResidentBytes(64), 64u * 128 * 2 * 2);
  // And a scale for each 32.
  EXPECT_EQ(KvLayer(2, 64, 64, KvType::kQ8).ResidentBytes(64), 64u * 128 * 2 * 36 / 32);
}

}  // namespace
}  // namespace fastvlm
