#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/softmax/softmax.h"

namespace fastvlm {
namespace {

// Rows of attention scores: 1024 and 256 keys in the encoder at 1024x1024, 280 in a prompt.
void BM_Softmax(benchmark::State& state, const SoftmaxVariant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t columns = state.range(0);
  const int64_t rows = 64;
  std::vector<float> x(static_cast<size_t>(rows * columns), 0.5f);
  for (auto _ : state) {
    variant.fn(x.data(), rows, columns, columns, 0.125f);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * rows * columns);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const SoftmaxVariant& variant : SoftmaxVariants()) {
    benchmark::RegisterBenchmark(
        ("softmax/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_Softmax(state, variant); })
        ->Arg(1024)
        ->Arg(256)
        ->Arg(280);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
