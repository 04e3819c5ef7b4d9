#include "kernels/gemm_shared/bench.h"
#include "kernels/gemm_f32/gemm_f32.h"

namespace fastvlm {
namespace {

void BenchWeights(benchmark::State& state, const GemmF32Variant& variant, bool bf16) {
  const int64_t rows = state.range(0), depth = state.range(1), stride = state.range(2);
  const std::vector<float> x(BenchSize(rows, stride), 0.5f);
  const std::vector<float> f32(BenchSize(depth, variant.tile_n), 0.5f);
  const std::vector<uint16_t> narrow(BenchSize(depth, variant.tile_n), 0x3f00);
  GemmF32Args args;
  args.depth = depth;
  args.x = x.data();
  args.x_stride = stride;
  args.weights = bf16 ? static_cast<const void*>(narrow.data()) : f32.data();
  args.panel_stride = depth * variant.tile_n;
  BenchGemm(state, rows, variant.tile_n, depth, [&](const GemmOutput& output) {
    static_cast<GemmOutput&>(args) = output;
    (bf16 ? variant.bf16 : variant.f32)(args);
  });
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmF32Variant& variant : GemmF32Variants()) {
    for (bool bf16 : {false, true}) {
      RegisterVariant(bf16 ? "gemm_f32/bf16" : "gemm_f32/f32", variant,
                      [bf16](benchmark::State& state, const GemmF32Variant& row) {
                        BenchWeights(state, row, bf16);
                      })
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
