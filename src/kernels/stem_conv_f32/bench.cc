#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm {
namespace {

// FastViTHD's first convolution: 96 channels of a square image of the given side.
void BM_StemConvF32(benchmark::State& state, const StemConvF32Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t side = state.range(0);
  StemConvF32Block block;
  block.height = block.width = side;
  block.channels = 96;
  block.row_end = side / 2;
  std::vector<float> x(static_cast<size_t>(3 * side * side), 0.5f);
  std::vector<float> weight(static_cast<size_t>(27 * block.channels), 0.25f);
  std::vector<float> bias(static_cast<size_t>(block.channels), 0.125f);
  std::vector<float> y(static_cast<size_t>(side / 2 * (side / 2) * block.channels));
  block.x = x.data();
  block.weight = weight.data();
  block.bias = bias.data();
  block.y = y.data();
  for (auto _ : state) {
    variant.fn(block);
    benchmark::ClobberMemory();
  }
  using benchmark::Counter;
  state.counters["FLOP/s"] =
      Counter(2.0 * 27.0 * static_cast<double>(y.size()), Counter::kIsIterationInvariantRate);
  state.counters["B/s"] =
      Counter(static_cast<double>(4 * (x.size() + y.size())), Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const StemConvF32Variant& variant : StemConvF32Variants()) {
    benchmark::RegisterBenchmark(
        ("stem_conv_f32/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BM_StemConvF32(state, variant); })
        ->Arg(1024);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
