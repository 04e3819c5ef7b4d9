#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/round.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/attention_f32/pack.h"

namespace fastvlm {
namespace {

// Keys are summed in ranges that are counted from position 0, and the sums of the ranges are joined
// in their order. So what a row gets depends on its own position only, never on the rows that are
// computed with it.
constexpr int64_t kRangeKeys = 4 * kAttentionBlock;
// Each range is a unit of its own if a segment has fewer runs of query rows than this.
constexpr int64_t kFewUnits = 16;
// As many segments are computed in one parallel loop, at most.
constexpr int64_t kMaxCalls = 64;

// Sums over some keys of a number of rows: max and sum [rows],
// acc [rows, AttentionValueDim(head_dim)].
struct KeySums {
  float* max;
  float* sum;
  float* acc;

  KeySums(float* memory, int64_t rows) : max(memory), sum(max + rows), acc(sum + rows) {}
};

// What one thread needs for one block of query rows.
struct RowBlockScratch {
  float* q;
  KeySums sums;
  float* widened = nullptr;  // a range of keys and values of a cache that is not f32

  static int64_t Floats(int64_t head_dim) {
    const int64_t floats = PackedQueryFloats(kAttentionRows, head_dim) + SumFloats(head_dim);
    return CeilDiv(floats, 16) * 16;
  }
  static int64_t SumFloats(int64_t head_dim) {
    return kAttentionRows * (2 + AttentionValueDim(head_dim));
  }
  RowBlockScratch(float* memory, int64_t head_dim)
      : q(memory), sums(memory + PackedQueryFloats(kAttentionRows, head_dim), kAttentionRows) {}
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

  pool.ParallelFor(heads * blocks, [&](int64_t unit, int) {
    const int64_t head = unit / blocks;
    const int64_t first = unit % blocks * kAttentionBlock;
    const float* k = qkv + first * stride + width + head * head_dim;
    PackKeyValue(k, stride, k + width, stride, 0, std::min(kAttentionBlock, tokens - first),
                 head_dim, packed + unit * block_floats);
  });

  const AttentionF32Variant& kernel = BestAttentionF32();
  const float scale = QueryScale(head_dim);
  const int64_t row_blocks = CeilDiv(tokens, kAttentionRows);
  int64_t visible[kAttentionRows];
  std::fill(visible, visible + kAttentionRows, tokens);
  pool.ParallelFor(heads * row_blocks, [&](int64_t unit, int thread) {
    const int64_t head = unit / row_blocks;
    const int64_t first = unit % row_blocks * kAttentionRows;
    const int64_t rows = std::min(kAttentionRows, tokens - first);
    const int64_t tile_rows = EvenTileRows(rows, kernel.tile_rows);
    const RowBlockScratch local(row_blocks_scratch + thread * RowBlockScratch::Floats(head_dim),
                                head_dim);
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
               .max = local.sums.max,
               .sum = local.sums.sum,
               .acc = local.sums.acc});
    for (int64_t r = 0; r < rows; ++r) {
      Normalise(local.sums.acc + r * AttentionValueDim(head_dim), local.sums.sum[r], head_dim,
                out + (first + r) * width + head * head_dim);
    }
  });
}

namespace {

// Adds the sums of one row over further keys, `part`, to `total`.
void Join(float part_max, float part_sum, const float* part, int64_t head_dim, float& max,
          float& sum, float* total) {
  const float larger = std::max(max, part_max);
  const float factor = std::exp(max - larger), part_factor = std::exp(part_max - larger);
  max = larger;
  sum = factor * sum + part_factor * part_sum;
  for (int64_t d = 0; d < head_dim; ++d) total[d] = factor * total[d] + part_factor * part[d];
}

// One segment at work. Each key/value head has a row for each token and each query head that shares
// it: row i is token i / group, head i % group.
struct CausalCall {
  const float* q = nullptr;
  int64_t q_stride = 0;
  int64_t start = 0;
  const KvLayer* kv = nullptr;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t group = 0;       // query heads per key/value head
  int64_t rows = 0;        // per key/value head
  int64_t row_blocks = 0;  // per key/value head
  int64_t ranges = 0;      // units for each run of rows
  int64_t first_unit = 0;
  float* range_sums = nullptr;  // [ranges] KeySums of [kv_heads * rows], if there are several

  CausalCall() = default;
  CausalCall(const CausalSegment& segment, int64_t heads)
      : start(segment.start), kv(segment.kv), group(heads / kv->kv_heads()) {
    rows = segment.tokens * group;
    row_blocks = CeilDiv(rows, kAttentionRows);
    const bool few = kv->kv_heads() * row_blocks < kFewUnits;
    ranges = few ? CeilDiv(start + segment.tokens, kRangeKeys) : 1;
  }

  int64_t units() const { return kv->kv_heads() * row_blocks * ranges; }
  int64_t slots() const { return kv->kv_heads() * rows; }
  // Of one range in range_sums.
  int64_t range_floats() const { return slots() * (2 + AttentionValueDim(kv->head_dim())); }
  int64_t sums_floats() const { return ranges > 1 ? ranges * range_floats() : 0; }
  KeySums RangeSums(int64_t range) const { return {range_sums + range * range_floats(), slots()}; }

  int64_t Position(int64_t row) const { return start + row / group; }
  float* Out(int64_t kv_head, int64_t row) const {
    return out + row / group * out_stride + (kv_head * group + row % group) * kv->head_dim();
  }
  const float* Query(int64_t kv_head, int64_t row) const {
    return q + row / group * q_stride + (kv_head * group + row % group) * kv->head_dim();
  }

  // How many of `count` rows from `first` on stand before a range and see nothing of it.
  int64_t Blind(int64_t first, int64_t count, int64_t range) const {
    int64_t blind = 0;
    while (blind < count && Position(first + blind) < range * kRangeKeys) ++blind;
    return blind;
  }

  // Sums of `count` rows of a head over a range that each of them sees a part of.
  void RunRows(int64_t kv_head, int64_t first, int64_t count, int64_t range,
               const RowBlockScratch& local, const KeySums& sums) const {
    const AttentionF32Variant& kernel = BestAttentionF32();
    const int64_t head_dim = kv->head_dim();
    const int64_t tile_rows = EvenTileRows(count, kernel.tile_rows);
    const float scale = QueryScale(head_dim);
    const int64_t first_key = range * kRangeKeys;
    int64_t visible[kAttentionRows];
    for (int64_t r = 0; r < count; ++r) {
      PackQuery(Query(kv_head, first + r), scale, r, tile_rows, head_dim, local.q);
      visible[r] = std::min(Position(first + r) + 1 - first_key, kRangeKeys);
    }
    const KvBlocks blocks =
        kv->Blocks(kv_head, first_key / kAttentionBlock, visible[count - 1], local.widened);
    kernel.fn({.q = local.q,
               .tile_rows = tile_rows,
               .rows = count,
               .visible = visible,
               .blocks = blocks.data,
               .block_stride = blocks.stride,
               .head_dim = head_dim,
               .max = sums.max,
               .sum = sums.sum,
               .acc = sums.acc});
  }

  // Some rows over all that they see, straight to the output. `total` is scratch.
  void RunWhole(int64_t kv_head, int64_t first, int64_t count, const RowBlockScratch& local,
                const KeySums& total) const {
    const int64_t head_dim = kv->head_dim(), value_dim = AttentionValueDim(head_dim);
    const int64_t seen_ranges = Position(first + count - 1) / kRangeKeys + 1;
    RunRows(kv_head, first, count, 0, local, total);
    for (int64_t range = 1; range < seen_ranges; ++range) {
      const int64_t blind = Blind(first, count, range);
      const KeySums& part = local.sums;
      RunRows(kv_head, first + blind, count - blind, range, local, part);
      for (int64_t r = blind; r < count; ++r) {
        Join(part.max[r - blind], part.sum[r - blind], part.acc + (r - blind) * value_dim, head_dim,
             total.max[r], total.sum[r], total.acc + r * value_dim);
      }
    }
    for (int64_t r = 0; r < count; ++r) {
      Normalise(total.acc + r * value_dim, total.sum[r], head_dim, Out(kv_head, first + r));
    }
  }

  // Some rows over one of several ranges, to range_sums.
  void RunRange(int64_t kv_head, int64_t first, int64_t count, int64_t range,
                const RowBlockScratch& local) const {
    const int64_t blind = Blind(first, count, range);
    if (blind == count) return;
    const int64_t slot = kv_head * rows + first + blind;
    KeySums sums = RangeSums(range);
    sums.max += slot;
    sums.sum += slot;
    sums.acc += slot * AttentionValueDim(kv->head_dim());
    RunRows(kv_head, first + blind, count - blind, range, local, sums);
  }

  void RunUnit(int64_t unit, const RowBlockScratch& local, const KeySums& total) const {
    const int64_t range = unit % ranges;
    const int64_t kv_head = unit / ranges % kv->kv_heads();
    // The rows that see most go first, so that the threads finish together.
    const int64_t row_block = row_blocks - 1 - unit / ranges / kv->kv_heads();
    const int64_t first = row_block * kAttentionRows;
    const int64_t count = std::min(kAttentionRows, rows - first);
    if (ranges == 1) {
      RunWhole(kv_head, first, count, local, total);
    } else {
      RunRange(kv_head, first, count, range, local);
    }
  }

  // The output of a head's rows, from the sums of the ranges that each of them sees.
  void JoinRanges(int64_t kv_head) const {
    const int64_t head_dim = kv->head_dim(), value_dim = AttentionValueDim(head_dim);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t slot = kv_head * rows + row;
      float* total = Out(kv_head, row);
      const KeySums nearest = RangeSums(0);
      float max = nearest.max[slot], sum = nearest.sum[slot];
      std::copy_n(nearest.acc + slot * value_dim, head_dim, total);
      for (int64_t range = 1; range <= Position(row) / kRangeKeys; ++range) {
        const KeySums part = RangeSums(range);
        Join(part.max[slot], part.sum[slot], part.acc + slot * value_dim, head_dim, max, sum,
             total);
      }
      Normalise(total, sum, head_dim, total);
    }
  }
};

// Scratch of a thread: a block of rows, its sums over all ranges, and a range of keys and values.
int64_t ThreadFloats(int64_t head_dim) {
  return RowBlockScratch::Floats(head_dim) +
         CeilDiv(RowBlockScratch::SumFloats(head_dim), 16) * 16 +
         KvLayer::WidenedFloats(head_dim, kRangeKeys);
}

Work AttentionWork(std::span<const CausalSegment> segments, int64_t heads) {
  // Each query meets the keys up to its own; keys and values are read once.
  double operations = 0, bytes = 0;
  for (const CausalSegment& segment : segments) {
    const double width = static_cast<double>(heads * segment.kv->head_dim());
    const double tokens = static_cast<double>(segment.tokens);
    const double pairs = tokens * static_cast<double>(2 * segment.start + segment.tokens + 1) / 2;
    operations += 4 * width * pairs;
    bytes += 8 * width * tokens +
             static_cast<double>(segment.kv->ResidentBytes(segment.start + segment.tokens));
  }
  return {operations, 0, bytes};
}

}  // namespace

size_t CausalAttentionScratchFloats(int64_t tokens, int64_t segments, int64_t heads,
                                    int64_t head_dim, int64_t capacity, int threads) {
  const int64_t slots = std::min(tokens * heads, segments * kFewUnits * kAttentionRows);
  const int64_t sums = slots * CeilDiv(capacity, kRangeKeys) * (AttentionValueDim(head_dim) + 2);
  return static_cast<size_t>(threads * ThreadFloats(head_dim) + sums);
}

void CausalAttention(const float* q, int64_t q_stride, std::span<const CausalSegment> segments,
                     int64_t heads, float* out, int64_t out_stride, float* scratch,
                     ThreadPool& pool) {
  if (segments.empty()) return;
  if (segments.size() > kMaxCalls) {
    int64_t tokens = 0;
    for (const CausalSegment& segment : segments.first(kMaxCalls)) tokens += segment.tokens;
    CausalAttention(q, q_stride, segments.first(kMaxCalls), heads, out, out_stride, scratch, pool);
    return CausalAttention(q + tokens * q_stride, q_stride, segments.subspan(kMaxCalls), heads,
                           out + tokens * out_stride, out_stride, scratch, pool);
  }
  const int64_t head_dim = segments[0].kv->head_dim();
  CausalCall calls[kMaxCalls];
  float* sums = scratch + pool.threads() * ThreadFloats(head_dim);
  int64_t units = 0, tokens = 0;
  bool to_join = false;
  for (size_t i = 0; i < segments.size(); ++i) {
    const CausalSegment& segment = segments[i];
    FASTVLM_CHECK(segment.tokens >= 1 && segment.start >= 0);
    FASTVLM_CHECK(segment.start + segment.tokens <= segment.kv->capacity());
    FASTVLM_CHECK(heads >= 1 && heads % segment.kv->kv_heads() == 0);
    CausalCall& call = calls[i] = CausalCall(segment, heads);
    call.q = q + tokens * q_stride;
    call.q_stride = q_stride;
    call.out = out + tokens * out_stride;
    call.out_stride = out_stride;
    call.first_unit = units;
    call.range_sums = sums;
    sums += call.sums_floats();
    units += call.units();
    tokens += segment.tokens;
    to_join = to_join || call.ranges > 1;
  }
  const auto count = static_cast<int64_t>(segments.size());
  const ProfileScope scope(pool.profile(), tokens == count ? "attention, 1 token" : "attention",
                           AttentionWork(segments, heads));
  pool.ParallelFor(units, [&](int64_t unit, int thread) {
    const CausalCall* after = std::upper_bound(
        calls, calls + count, unit,
        [](int64_t wanted, const CausalCall& call) { return wanted < call.first_unit; });
    float* const mine = scratch + thread * ThreadFloats(head_dim);
    RowBlockScratch local(mine, head_dim);
    local.widened = mine + ThreadFloats(head_dim) - KvLayer::WidenedFloats(head_dim, kRangeKeys);
    const KeySums total(mine + RowBlockScratch::Floats(head_dim), kAttentionRows);
    const CausalCall& call = after[-1];
    call.RunUnit(unit - call.first_unit, local, total);
  });
  if (!to_join) return;
  const int64_t kv_heads = segments[0].kv->kv_heads();
  pool.ParallelFor(count * kv_heads, [&](int64_t unit, int) {
    const CausalCall& call = calls[unit / kv_heads];
    if (call.ranges > 1) call.JoinRanges(unit % kv_heads);
  });
}

}  // namespace fastvlm
