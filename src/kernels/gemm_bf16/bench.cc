#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "kernels/gemm_bf16/gemm_bf16.h"

namespace fastvlm {
namespace {

// What ops/linear.cc makes of a large layer: one panel at a piece of the depth, again and again
// over a block of rows, all of it in the caches.
void BM_Block(benchmark::State& state, const GemmBf16Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
  const int64_t rows = state.range(0), pairs = state.range(1) / 2, stride = state.range(2);
  const int64_t columns = variant.tile_n;
  const auto size = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
  const std::vector<uint16_t> x(size(rows, stride), 0x3f00);
  const std::vector<uint16_t> weights(size(2 * pairs, columns), 0x3f00);
  const std::vector<float> start(size(columns, 1), 0.0f);
  std::vector<float> y(size(rows, columns));
  GemmBf16Args args;
  args.rows = rows;
  args.columns = columns;
  args.pairs = pairs;
  args.x = x.data();
  args.x_stride = stride;
  args.weights = weights.data();
  args.panel_stride = 2 * pairs * columns;
  args.start = start.data();
  args.y = y.data();
  args.y_stride = columns;
  for (auto _ : state) {
    variant.fn(args);
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] =
      benchmark::Counter(static_cast<double>(4 * rows * columns * pairs * state.iterations()),
                         benchmark::Counter::kIsRate);
}

void BM_Round(benchmark::State& state, const GemmBf16Variant& variant) {
  if (!CpuSupports(variant.isa)) {
    state.SkipWithError("not supported by this CPU");
    return;
  }
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
    benchmark::RegisterBenchmark(("gemm_bf16/" + std::string(variant.name)).c_str(),
                                 [&variant](benchmark::State& state) { BM_Block(state, variant); })
        ->ArgNames({"rows", "depth", "stride"})
        ->Args({24, 192, 192})
        ->Args({144, 96, 96})
        ->Args({144, 384, 768})
        ->Args({144, 384, 1536});
    benchmark::RegisterBenchmark(("round_to_bf16/" + std::string(variant.name)).c_str(),
                                 [&variant](benchmark::State& state) { BM_Round(state, variant); })
        ->Arg(768)
        ->Arg(3072);
  }
  return true;
}();

}  // namespace
}  // namespace fastvlm
