#include "kernels/gemm_shared/bench.h"
#include "kernels/gemm_f16/gemm_f16.h"

namespace fastvlm {
namespace {

// Two panels at a time, as the kernel likes it best.
void BenchProducts(benchmark::State& state, const GemmF16Variant& variant) {
  const int64_t rows = state.range(0), depth = state.range(1), columns = 2 * variant.tile_n;
  const std::vector<uint32_t> x(BenchSize(rows, depth), 0x38003800);
  const std::vector<uint16_t> weights(BenchSize(depth, columns), 0x3800);
  const std::vector<float> factors(BenchSize(rows + columns, 1), 1.0f);
  GemmF16Args args;
  args.runs = depth / kF16Run;
  args.x = x.data();
  args.x_tile_rows = variant.tile_m;
  args.x_tile_stride = variant.tile_m * depth;
  args.x_factor = factors.data();
  args.weights = weights.data();
  args.panel_stride = depth * variant.tile_n;
  args.w_factor = factors.data();
  BenchGemm(state, rows, columns, depth, [&](const GemmOutput& output) {
    static_cast<GemmOutput&>(args) = output;
    variant.fn(args);
  });
}

void BenchRounding(benchmark::State& state, const GemmF16Variant& variant) {
  const int64_t rows = 96, depth = state.range(0);
  const std::vector<float> x(BenchSize(rows, depth), 0.5f);
  std::vector<uint32_t> tiles(x.size());
  std::vector<float> factors(BenchSize(rows, 1));
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
    RegisterVariant("gemm_f16", variant, BenchProducts)
        ->ArgNames({"rows", "depth"})
        ->Args({24, 192})
        ->Args({144, 96})
        ->Args({144, 192})
        ->Args({144, 256})
        ->Args({144, 384})
        ->Args({144, 768});
    RegisterVariant("round_to_f16", variant, BenchRounding)->Arg(384)->Arg(3072);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
