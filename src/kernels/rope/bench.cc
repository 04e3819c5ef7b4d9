#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/rope/rope.h"

namespace fastvlm {
namespace {

// The queries of one token: heads of head_dim.
void BM_Rope(benchmark::State& state, const RopeVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t heads = state.range(0);
  const int64_t head_dim = state.range(1);
  const std::vector<float> table(static_cast<size_t>(head_dim), 0.7f);
  std::vector<float> x(static_cast<size_t>(heads * head_dim), 0.5f);
  for (auto _ : state) {
    variant.fn(x.data(), 1, heads * head_dim, heads, head_dim, table.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * heads * head_dim);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const RopeVariant& variant : RopeVariants()) {
    benchmark::RegisterBenchmark(("rope/" + std::string(variant.name)).c_str(),
                                 [&variant](benchmark::State& state) { BM_Rope(state, variant); })
        ->Args({14, 64})
        ->Args({12, 128})
        ->Args({28, 128});
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
