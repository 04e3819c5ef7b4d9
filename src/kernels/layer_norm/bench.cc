#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/layer_norm/layer_norm.h"

namespace fastvlm {
namespace {

// 16 tokens of the encoder's stages 4 and 5.
void BM_LayerNorm(benchmark::State& state, const LayerNormVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t channels = state.range(0);
  const int64_t rows = 16;
  const std::vector<float> gain(static_cast<size_t>(channels), 1.0f);
  const std::vector<float> x(static_cast<size_t>(rows * channels), 0.5f);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    variant.fn(x.data(), rows, channels, gain.data(), gain.data(), 1e-5f, y.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * rows * channels);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const LayerNormVariant& variant : LayerNormVariants()) {
    benchmark::RegisterBenchmark(
        ("layer_norm/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_LayerNorm(state, variant); })
        ->Arg(768)
        ->Arg(1536);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
