#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/rms_norm/rms_norm.h"

namespace fastvlm {
namespace {

// One token of each decoder.
void BM_RmsNorm(benchmark::State& state, const RmsNormVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t hidden = state.range(0);
  const std::vector<float> x(static_cast<size_t>(hidden), 0.5f);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    variant.fn(x.data(), 1, hidden, x.data(), 1e-6f, y.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * hidden);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const RmsNormVariant& variant : RmsNormVariants()) {
    benchmark::RegisterBenchmark(
        ("rms_norm/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_RmsNorm(state, variant); })
        ->Arg(896)
        ->Arg(1536)
        ->Arg(3584);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
