#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/quantize_rows/quantize_rows.h"

namespace fastvlm {
namespace {

void BM_QuantizeRows(benchmark::State& state, const QuantizeRowsVariant& variant, bool wide) {
  if (!CpuSupports(variant.isa)) return state.SkipWithError("not supported by this CPU");
  const int64_t rows = 96, depth = state.range(0);
  const auto count = static_cast<size_t>(rows * depth);
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) x[i] = static_cast<float>(i * 104729 % 511) / 511 - 0.5f;
  QuantizeRowsArgs args;
  args.rows = rows;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = depth;
  args.tile_rows = 12;
  args.tile_stride = depth / 32 * QuantizedBlockBytes(args.tile_rows, wide ? 2 : 1);
  std::vector<uint8_t> tiles(static_cast<size_t>(rows / args.tile_rows * args.tile_stride));
  args.tiles = tiles.data();
  for (auto _ : state) {
    (wide ? variant.to_int16 : variant.to_int8)(args);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(count * sizeof(float)));
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const QuantizeRowsVariant& variant : QuantizeRowsVariants()) {
    for (bool wide : {false, true}) {
      benchmark::RegisterBenchmark(
          ("quantize_rows/" + std::string(variant.name) + (wide ? "/int16" : "/int8")).c_str(),
          [&variant, wide](benchmark::State& state) { BM_QuantizeRows(state, variant, wide); })
          ->Arg(192)
          ->Arg(896)
          ->Arg(4864);
    }
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
