#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/gemm_f16/gemm_f16.h"

namespace fastvlm {
namespace {

size_t Size(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

// What ops/linear.cc makes of a large layer: two panels at a piece of the depth, again and again
// over a block of rows, all of it in the caches.
void BM_Block(benchmark::State& state, const GemmF16Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t rows = state.range(0), depth = state.range(1), columns = 2 * variant.tile_n;
  const std::vector<uint32_t> x(Size(rows, depth), 0x38003800);
  const std::vector<uint16_t> weights(Size(depth, columns), 0x3800);
  const std::vector<float> start(Size(columns, 1), 0.0f), factors(Size(rows + columns, 1), 1.0f);
  std::vector<float> y(Size(rows, columns));
  GemmF16Args args;
  args.rows = rows;
  args.columns = columns;
  args.groups = depth / kF16Group;
  args.x = x.data();
  args.x_tile_rows = variant.tile_m;
  args.x_tile_stride = variant.tile_m * depth;
  args.x_factor = factors.data();
  args.weights = weights.data();
  args.panel_stride = depth * variant.tile_n;
  args.w_factor = factors.data();
  args.start = start.data();
  args.y = y.data();
  args.y_stride = columns;
  for (auto _ : state) {
    variant.fn(args);
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] =
      benchmark::Counter(static_cast<double>(2 * rows * columns * depth * state.iterations()),
                         benchmark::Counter::kIsRate);
}

void BM_Round(benchmark::State& state, const GemmF16Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t rows = 96, depth = state.range(0);
  const std::vector<float> x(Size(rows, depth), 0.5f);
  std::vector<uint32_t> tiles(x.size());
  std::vector<float> factors(Size(rows, 1));
  F16RowsArgs args;
  args.rows = rows;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = depth;
  args.tiles = tiles.data();
  args.tile_rows = variant.tile_m;
  args.tile_stride = variant.tile_m * depth;
  args.factor = factors.data();
  for (auto _ : state) {
    variant.round(args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * depth * 8);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmF16Variant& variant : GemmF16Variants()) {
    benchmark::RegisterBenchmark(("gemm_f16/" + std::string(variant.name)).c_str(),
                                 [&variant](benchmark::State& state) { BM_Block(state, variant); })
        ->ArgNames({"rows", "depth"})
        ->Args({24, 192})
        ->Args({144, 96})
        ->Args({144, 192})
        ->Args({144, 256})
        ->Args({144, 384})
        ->Args({144, 768});
    benchmark::RegisterBenchmark(("round_to_f16/" + std::string(variant.name)).c_str(),
                                 [&variant](benchmark::State& state) { BM_Round(state, variant); })
        ->Arg(384)
        ->Arg(3072);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
