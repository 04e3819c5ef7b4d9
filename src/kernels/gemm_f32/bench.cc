#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/gemm_f32/gemm_f32.h"

namespace fastvlm {
namespace {

// What ops/linear.cc makes of a large layer: one panel at a piece of the depth, again and again
// over a block of rows, all of it in the caches.
void BM_Block(benchmark::State& state, const GemmF32Variant& variant, bool bf16) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t rows = state.range(0), depth = state.range(1), stride = state.range(2);
  const int64_t columns = variant.tile_n;
  const auto size = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
  const std::vector<float> x(size(rows, stride), 0.5f);
  const std::vector<float> f32(size(depth, columns), 0.5f);
  const std::vector<uint16_t> narrow(size(depth, columns), 0x3f00);
  const std::vector<float> start(size(columns, 1), 0.0f);
  std::vector<float> y(size(rows, columns));
  GemmF32Args args;
  args.rows = rows;
  args.columns = columns;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = stride;
  args.weights = bf16 ? static_cast<const void*>(narrow.data()) : f32.data();
  args.panel_stride = depth * columns;
  args.start = start.data();
  args.y = y.data();
  args.y_stride = columns;
  for (auto _ : state) {
    (bf16 ? variant.bf16 : variant.f32)(args);
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] =
      benchmark::Counter(static_cast<double>(2 * rows * columns * depth * state.iterations()),
                         benchmark::Counter::kIsRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmF32Variant& variant : GemmF32Variants()) {
    for (bool bf16 : {false, true}) {
      benchmark::RegisterBenchmark(
          ("gemm_f32/" + std::string(variant.name) + (bf16 ? "/bf16" : "/f32")).c_str(),
          [&variant, bf16](benchmark::State& state) { BM_Block(state, variant, bf16); })
          ->ArgNames({"rows", "depth", "stride"})
          ->Args({24, 192, 192})
          ->Args({192, 96, 96})
          ->Args({192, 192, 192})
          ->Args({192, 192, 768})
          ->Args({192, 256, 256})
          ->Args({192, 256, 1536});
    }
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
