#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/silu_mul/silu_mul.h"

namespace fastvlm {
namespace {

// One token of each decoder.
void BM_SiluMul(benchmark::State& state, const SiluMulVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t count = state.range(0);
  const std::vector<float> gate(static_cast<size_t>(count), 0.5f);
  std::vector<float> y(gate.size());
  for (auto _ : state) {
    variant.fn(gate.data(), gate.data(), count, y.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * count);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const SiluMulVariant& variant : SiluMulVariants()) {
    benchmark::RegisterBenchmark(
        ("silu_mul/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_SiluMul(state, variant); })
        ->Arg(4864)
        ->Arg(8960)
        ->Arg(18944);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
