#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/attention_f32/pack.h"

namespace fastvlm {
namespace {

// Keys split into ranges only while there are fewer tasks than this, and into ranges of no fewer
// blocks than that. Both depend on lengths alone, never on the number of threads.
constexpr int64_t kWantedTasks = 64;
constexpr int64_t kMinRangeBlocks = 4;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// What one thread needs for one block of query rows.
struct RowBlockScratch {
  float* q;
  float* max;
  float* sum;
  float* acc;
  float* widened = nullptr;  // keys and values of a cache that is not f32

  static int64_t Floats(int64_t head_dim) {
    const int64_t floats = PackedQueryFloats(kAttentionRows, head_dim) + 2 * kAttentionRows +
                           kAttentionRows * AttentionValueDim(head_dim);
    return CeilDiv(floats, 16) * 16;
  }
  RowBlockScratch(float* scratch, int thread, int64_t head_dim) {
    q = scratch + thread * Floats(head_dim);
    max = q + PackedQueryFloats(kAttentionRows, head_dim);
    sum = max + kAttentionRows;
    acc = sum + kAttentionRows;
  }
};

float QueryScale(int64_t head_dim) { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

void Normalise(const float* acc, float sum, int64_t head_dim, float* out) {
  const float inverse = 1.0f / sum;
  for (int64_t d = 0; d < head_dim; ++d) out[d] = acc[d] * inverse;
}

}  // namespace

size_t SelfAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim, int threads) {
  const int64_t blocks = CeilDiv(tokens, kAttentionBlock);
  return static_cast<size_t>(heads * blocks * AttentionBlockFloats(head_dim) +
                             threads * RowBlockScratch::Floats(head_dim));
}

void SelfAttention(const float* qkv, int64_t tokens, int64_t heads, int64_t head_dim, float* out,
                   float* scratch, ThreadPool& pool) {
  const int64_t width = heads * head_dim;
  const double all = static_cast<double>(tokens * width);
  const ProfileScope scope(pool.profile(), "encoder attention",
                           {4 * all * static_cast<double>(tokens), 0, 16 * all});
  const int64_t stride = 3 * width;
  const int64_t block_floats = AttentionBlockFloats(head_dim);
  const int64_t blocks = CeilDiv(tokens, kAttentionBlock);
  float* packed = scratch;  // [heads][blocks][block_floats]
  float* row_blocks_scratch = scratch + heads * blocks * block_floats;

  pool.ParallelFor(heads * blocks, [&](int64_t task, int) {
    const int64_t head = task / blocks;
    const int64_t first = task % blocks * kAttentionBlock;
    const float* k = qkv + first * stride + width + head * head_dim;
    PackKeyValue(k, stride, k + width, stride, 0, std::min(kAttentionBlock, tokens - first),
                 head_dim, packed + task * block_floats);
  });

  const AttentionF32Variant& kernel = BestAttentionF32();
  const float scale = QueryScale(head_dim);
  const int64_t row_blocks = CeilDiv(tokens, kAttentionRows);
  int64_t visible[kAttentionRows];
  std::fill(visible, visible + kAttentionRows, tokens);
  pool.ParallelFor(heads * row_blocks, [&](int64_t task, int thread) {
    const int64_t head = task / row_blocks;
    const int64_t first = task % row_blocks * kAttentionRows;
    const int64_t rows = std::min(kAttentionRows, tokens - first);
    const int64_t tile_rows = EvenTileRows(rows, kernel.tile_rows);
    const RowBlockScratch local(row_blocks_scratch, thread, head_dim);
    for (int64_t r = 0; r < rows; ++r) {
      PackQuery(qkv + (first + r) * stride + head * head_dim, scale, r, tile_rows, head_dim,
                local.q);
    }
    kernel.fn({.q = local.q,
               .tile_rows = tile_rows,
               .rows = rows,
               .visible = visible,
               .blocks = packed + head * blocks * block_floats,
               .block_stride = block_floats,
               .head_dim = head_dim,
               .max = local.max,
               .sum = local.sum,
               .acc = local.acc});
    for (int64_t r = 0; r < rows; ++r) {
      Normalise(local.acc + r * AttentionValueDim(head_dim), local.sum[r], head_dim,
                out + (first + r) * width + head * head_dim);
    }
  });
}

namespace {

// How the query rows of one call and the keys they see are cut into tasks. The rows of one
// key/value head are its query heads of each token: row i is token i / group, head i % group.
struct CausalPlan {
  int64_t kv_heads;
  int64_t group;         // query heads per key/value head
  int64_t rows;          // per key/value head
  int64_t row_blocks;    // per key/value head
  int64_t ranges;        // of keys; more than one only if there are few row blocks
  int64_t range_blocks;  // key blocks per range, the last may be shorter

  CausalPlan(int64_t tokens, int64_t start, int64_t heads, int64_t kv_heads_in)
      : kv_heads(kv_heads_in), group(heads / kv_heads), rows(tokens * group) {
    row_blocks = CeilDiv(rows, kAttentionRows);
    const int64_t key_blocks = CeilDiv(start + tokens, kAttentionBlock);
    const int64_t wanted = CeilDiv(kWantedTasks, kv_heads * row_blocks);
    range_blocks = std::max(kMinRangeBlocks, CeilDiv(key_blocks, wanted));
    ranges = CeilDiv(key_blocks, range_blocks);
  }
  int64_t tasks() const { return kv_heads * row_blocks * ranges; }
  int64_t range_keys() const { return range_blocks * kAttentionBlock; }
};

// Sums of the ranges, [ranges][kv_heads][rows] each; used if there are several ranges.
struct RangeSums {
  float* max;
  float* sum;
  float* acc;

  RangeSums(float* scratch, const CausalPlan& plan) {
    const int64_t slots = plan.ranges * plan.kv_heads * plan.rows;
    max = scratch;
    sum = max + slots;
    acc = sum + slots;
  }
};

// One row of the output, at `position`, from its sums over the ranges it sees, in their order.
void CombineRanges(const RangeSums& sums, const CausalPlan& plan, int64_t slot, int64_t position,
                   int64_t head_dim, float* out) {
  const int64_t step = plan.kv_heads * plan.rows;
  const int64_t value_dim = AttentionValueDim(head_dim);
  const int64_t ranges = position / plan.range_keys() + 1;
  float max = sums.max[slot];
  for (int64_t i = 1; i < ranges; ++i) max = std::max(max, sums.max[slot + i * step]);
  float sum = 0;
  std::fill(out, out + head_dim, 0.0f);
  for (int64_t i = 0; i < ranges; ++i) {
    const int64_t at = slot + i * step;
    const float factor = std::exp(sums.max[at] - max);
    sum += factor * sums.sum[at];
    const float* acc = sums.acc + at * value_dim;
    for (int64_t d = 0; d < head_dim; ++d) out[d] += factor * acc[d];
  }
  Normalise(out, sum, head_dim, out);
}

// One call of CausalAttention.
struct CausalCall {
  const float* q;
  int64_t q_stride;
  int64_t start;
  const KvLayer& kv;
  float* out;
  int64_t out_stride;
  CausalPlan plan;
  const AttentionF32Variant& kernel;

  int64_t Position(int64_t row) const { return start + row / plan.group; }
  float* Out(int64_t kv_head, int64_t row) const {
    return out + row / plan.group * out_stride +
           (kv_head * plan.group + row % plan.group) * kv.head_dim();
  }
  const float* Query(int64_t kv_head, int64_t row) const {
    return q + row / plan.group * q_stride +
           (kv_head * plan.group + row % plan.group) * kv.head_dim();
  }

  // Rows first..first + rows - 1 of a head over the keys from first_key up to end_key, which each
  // of these rows sees at least one of.
  void RunRows(int64_t kv_head, int64_t first, int64_t rows, int64_t first_key, int64_t end_key,
               const RowBlockScratch& local) const {
    const int64_t head_dim = kv.head_dim();
    const int64_t tile_rows = EvenTileRows(rows, kernel.tile_rows);
    const float scale = QueryScale(head_dim);
    int64_t visible[kAttentionRows];
    for (int64_t r = 0; r < rows; ++r) {
      PackQuery(Query(kv_head, first + r), scale, r, tile_rows, head_dim, local.q);
      visible[r] = std::min(Position(first + r) + 1, end_key) - first_key;
    }
    const KvBlocks blocks =
        kv.Blocks(kv_head, first_key / kAttentionBlock, visible[rows - 1], local.widened);
    kernel.fn({.q = local.q,
               .tile_rows = tile_rows,
               .rows = rows,
               .visible = visible,
               .blocks = blocks.data,
               .block_stride = blocks.stride,
               .head_dim = head_dim,
               .max = local.max,
               .sum = local.sum,
               .acc = local.acc});
  }

  // Task of a plan with one range: straight to the output.
  void RunWhole(int64_t kv_head, int64_t first, int64_t rows, const RowBlockScratch& local) const {
    RunRows(kv_head, first, rows, 0, Position(plan.rows - 1) + 1, local);
    const int64_t value_dim = AttentionValueDim(kv.head_dim());
    for (int64_t r = 0; r < rows; ++r) {
      Normalise(local.acc + r * value_dim, local.sum[r], kv.head_dim(), Out(kv_head, first + r));
    }
  }

  // Task of a plan with several: to the sums of this range.
  void RunRange(int64_t kv_head, int64_t first, int64_t rows, int64_t range, RowBlockScratch local,
                const RangeSums& sums) const {
    const int64_t first_key = range * plan.range_keys();
    int64_t blind = 0;  // rows before this range
    while (blind < rows && Position(first + blind) < first_key) ++blind;
    if (blind == rows) return;
    first += blind;
    const int64_t slot = (range * plan.kv_heads + kv_head) * plan.rows + first;
    local.max = sums.max + slot;
    local.sum = sums.sum + slot;
    local.acc = sums.acc + slot * AttentionValueDim(kv.head_dim());
    RunRows(kv_head, first, rows - blind, first_key, first_key + plan.range_keys(), local);
  }
};

}  // namespace

size_t CausalAttentionScratchFloats(int64_t tokens, int64_t heads, int64_t head_dim,
                                    int64_t capacity, int threads) {
  // Ranges multiply the rows only while there are fewer than kWantedTasks row blocks.
  const int64_t ranges =
      std::min(kWantedTasks, CeilDiv(CeilDiv(capacity, kAttentionBlock), kMinRangeBlocks));
  const int64_t slots = std::min(tokens * heads * ranges, 2 * kWantedTasks * kAttentionRows);
  return static_cast<size_t>(
      threads * (RowBlockScratch::Floats(head_dim) + KvLayer::WidenedFloats(head_dim, capacity)) +
      CeilDiv(slots * (AttentionValueDim(head_dim) + 2), 16) * 16);
}

void CausalAttention(const float* q, int64_t q_stride, int64_t tokens, int64_t start, int64_t heads,
                     const KvLayer& kv, float* out, int64_t out_stride, float* scratch,
                     ThreadPool& pool) {
  FASTVLM_CHECK(tokens >= 1 && start >= 0 && start + tokens <= kv.capacity());
  FASTVLM_CHECK(heads >= 1 && heads % kv.kv_heads() == 0);
  // Each query meets the keys up to its own; keys and values are read once.
  const double width = static_cast<double>(heads * kv.head_dim());
  const double pairs =
      static_cast<double>(tokens) * static_cast<double>(2 * start + tokens + 1) / 2;
  const auto kv_bytes = static_cast<double>(kv.ResidentBytes(start + tokens));
  const ProfileScope scope(
      pool.profile(), tokens == 1 ? "attention, 1 token" : "attention",
      {4 * width * pairs, 0, 8 * width * static_cast<double>(tokens) + kv_bytes});
  const CausalCall call = {q,
                           q_stride,
                           start,
                           kv,
                           out,
                           out_stride,
                           CausalPlan(tokens, start, heads, kv.kv_heads()),
                           BestAttentionF32()};
  const CausalPlan& plan = call.plan;
  float* const widened = scratch + pool.threads() * RowBlockScratch::Floats(kv.head_dim());
  const int64_t widened_floats = KvLayer::WidenedFloats(kv.head_dim(), start + tokens);
  const RangeSums sums(widened + pool.threads() * widened_floats, plan);
  pool.ParallelFor(plan.tasks(), [&](int64_t task, int thread) {
    const int64_t range = task % plan.ranges;
    const int64_t kv_head = task / plan.ranges % plan.kv_heads;
    // The rows that see most go first, so that the threads finish together.
    const int64_t row_block = plan.row_blocks - 1 - task / plan.ranges / plan.kv_heads;
    const int64_t first = row_block * kAttentionRows;
    const int64_t rows = std::min(kAttentionRows, plan.rows - first);
    RowBlockScratch local(scratch, thread, kv.head_dim());
    local.widened = widened + thread * widened_floats;
    if (plan.ranges == 1) {
      call.RunWhole(kv_head, first, rows, local);
    } else {
      call.RunRange(kv_head, first, rows, range, local, sums);
    }
  });
  if (plan.ranges == 1) return;
  pool.ParallelFor(plan.kv_heads * plan.rows, [&](int64_t slot, int) {
    const int64_t row = slot % plan.rows;
    CombineRanges(sums, plan, slot, call.Position(row), kv.head_dim(),
                  call.Out(slot / plan.rows, row));
  });
}

}  // namespace fastvlm
