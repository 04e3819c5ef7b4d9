// The benchmark that the kernels over quantized weights share: one panel of weights times a block
// of rows, all of it in the caches, as ops/linear.cc cuts large layers; and a single row, as in
// decoding. gemm_bench measures whole layers.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_BENCH_QUANTIZED_H_
#define FASTVLM_KERNELS_GEMM_SHARED_BENCH_QUANTIZED_H_

#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <vector>

#include "kernels/gemm_shared/quantized_variant.h"
#include "kernels/quantize_rows/args.h"

namespace fastvlm {

inline void BenchGemmQuantized(benchmark::State& state, const GemmQuantizedVariant& variant) {
  if (!CpuSupports(variant.isa)) return state.SkipWithError("not supported by this CPU");
  const int64_t rows = state.range(0), depth = state.range(1);
  const int64_t blocks = depth / kQuantBlock, columns = variant.tile_n;
  const auto size = [](int64_t a, int64_t b) { return static_cast<size_t>(a * b); };
  const int64_t tile_bytes = blocks * QuantizedBlockBytes(variant.tile_m, variant.x_bytes);
  const int64_t tiles = (rows + variant.tile_m - 1) / variant.tile_m;
  const std::vector<uint8_t> x(size(tiles, tile_bytes), 0x3c);
  const std::vector<uint8_t> weights(size(blocks, variant.block_bytes), 0x11);
  const std::vector<float> start(size(columns, 1), 0.0f);
  std::vector<float> y(size(rows, columns));
  // As PackedLinear's user does: a panel that serves many rows is unpacked once.
  const bool widened = variant.widen != nullptr && rows > variant.tile_m;
  std::vector<uint8_t> wide(widened ? size(blocks, variant.wide_block_bytes) : 0);
  GemmQuantizedArgs args;
  args.rows = rows;
  args.columns = columns;
  args.start = start.data();
  args.y = y.data();
  args.y_stride = columns;
  args.blocks = blocks;
  args.x = x.data();
  args.x_stride = tile_bytes;
  args.weights = widened ? wide.data() : weights.data();
  args.panel_stride = blocks * (widened ? variant.wide_block_bytes : variant.block_bytes);
  args.next = args.weights;
  for (auto _ : state) {
    if (widened) variant.widen(weights.data(), blocks, wide.data());
    (widened ? variant.wide_fn : variant.fn)(args);
    benchmark::ClobberMemory();
  }
  state.counters["OP/s"] =
      benchmark::Counter(static_cast<double>(2 * rows * columns * depth * state.iterations()),
                         benchmark::Counter::kIsRate);
}

inline bool RegisterGemmQuantized(const std::string& kernel,
                                  std::span<const GemmQuantizedVariant> variants) {
  for (const GemmQuantizedVariant& variant : variants) {
    benchmark::RegisterBenchmark(
        (kernel + "/" + std::string(variant.name)).c_str(),
        [&variant](benchmark::State& state) { BenchGemmQuantized(state, variant); })
        ->ArgNames({"rows", "depth"})
        ->Args({1, 896})
        ->Args({96, 192})
        ->Args({96, 768})
        ->Args({280, 896});
  }
  return true;
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_BENCH_QUANTIZED_H_
