#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/attention_f32/attention_f32.h"
#include "kernels/attention_f32/pack.h"

namespace fastvlm {
namespace {

// One block of query rows: the encoder's 64 rows of 32 over 1024 keys, the decoder's prefill, and
// one decoded token, whose rows are the query heads that share a key/value head. Arguments: rows,
// head_dim, keys.
void BM_AttentionF32(benchmark::State& state, const AttentionF32Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t rows = state.range(0), head_dim = state.range(1), keys = state.range(2);
  const int64_t tile_rows = EvenTileRows(rows, variant.tile_rows);
  const int64_t stride = AttentionBlockFloats(head_dim);
  const std::vector<float> blocks(static_cast<size_t>(keys / kAttentionBlock * stride), 0.5f);
  const std::vector<float> q(static_cast<size_t>(PackedQueryFloats(rows, head_dim)), 0.25f);
  const std::vector<int64_t> visible(static_cast<size_t>(rows), keys);
  std::vector<float> max(kAttentionRows), sum(kAttentionRows);
  std::vector<float> acc(static_cast<size_t>(rows * AttentionValueDim(head_dim)));
  for (auto _ : state) {
    variant.fn({.q = q.data(),
                .tile_rows = tile_rows,
                .rows = rows,
                .visible = visible.data(),
                .blocks = blocks.data(),
                .block_stride = stride,
                .head_dim = head_dim,
                .max = max.data(),
                .sum = sum.data(),
                .acc = acc.data()});
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * 2 * rows * keys * head_dim);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const AttentionF32Variant& variant : AttentionF32Variants()) {
    benchmark::RegisterBenchmark(
        ("attention_f32/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_AttentionF32(state, variant); })
        ->Args({64, 32, 1024})
        ->Args({64, 64, 512})
        ->Args({64, 128, 512})
        ->Args({7, 64, 256})
        ->Args({6, 128, 256})
        ->Args({7, 128, 256});
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
