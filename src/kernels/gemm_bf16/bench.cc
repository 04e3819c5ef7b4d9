#include "kernels/gemm_shared/bench.h"
#include "kernels/gemm_bf16/gemm_bf16.h"

namespace fastvlm {
namespace {

void BenchProducts(benchmark::State& state, const GemmBf16Variant& variant) {
  const int64_t rows = state.range(0), depth = state.range(1), stride = state.range(2);
  const std::vector<uint16_t> x(BenchSize(rows, stride), 0x3f00);
  const std::vector<uint16_t> weights(BenchSize(depth, variant.tile_n), 0x3f00);
  GemmBf16Args args;
  args.pairs = depth / 2;
  args.x = x.data();
  args.x_stride = stride;
  args.weights = weights.data();
  args.panel_stride = depth * variant.tile_n;
  BenchGemm(state, rows, variant.tile_n, depth, [&](const GemmOutput& output) {
    static_cast<GemmOutput&>(args) = output;
    variant.fn(args);
  });
}

void BenchRounding(benchmark::State& state, const GemmBf16Variant& variant) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 0.5f);
  std::vector<uint16_t> bf16(x.size() + x.size() % 2);
  for (auto _ : state) {
    variant.round(x.data(), state.range(0), bf16.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * 6);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const GemmBf16Variant& variant : GemmBf16Variants()) {
    RegisterVariant("gemm_bf16", variant, BenchProducts)
        ->ArgNames({"rows", "depth", "stride"})
        ->Args({24, 192, 192})
        ->Args({144, 96, 96})
        ->Args({144, 384, 768})
        ->Args({144, 384, 1536});
    RegisterVariant("round_to_bf16", variant, BenchRounding)->Arg(768)->Arg(3072);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
