// What the benchmarks of the matrix multiplication kernels share. They measure what ops/linear.cc
// makes of a large layer: a slice of a panel, again and again over many rows, all of it in the
// caches. gemm_bench measures whole layers.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_BENCH_H_
#define FASTVLM_KERNELS_GEMM_SHARED_BENCH_H_

#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <vector>

#include "kernels/gemm_shared/quantized_variant.h"
#include "kernels/quantize_rows/args.h"

namespace fastvlm {

inline size_t BenchSize(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

// Runs call(output) on [rows, columns], whose kernel takes `depth` products for each result.
template <typename Call>
void BenchGemm(benchmark::State& state, int64_t rows, int64_t columns, int64_t depth,
               const Call& call) {
  const std::vector<float> start(BenchSize(columns, 1), 0.0f);
  std::vector<float> y(BenchSize(rows, columns));
  GemmOutput output;
  output.rows = rows;
  output.columns = columns;
  output.start = start.data();
  output.y = y.data();
  output.y_stride = columns;
  for (auto _ : state) {
    call(output);
    benchmark::ClobberMemory();
  }
  state.counters["OP/s"] =
      benchmark::Counter(static_cast<double>(2 * rows * columns * depth * state.iterations()),
                         benchmark::Counter::kIsRate);
}

// Registers body(state, variant) as "<name>/<variant's name>".
template <typename Variant, typename Body>
benchmark::internal::Benchmark* RegisterVariant(const std::string& name, const Variant& variant,
                                                const Body& body) {
  const auto run = [&variant, body](benchmark::State& state) {
    if (!CpuSupports(variant.isa)) return state.SkipWithError("not supported by this CPU");
    body(state, variant);
  };
  return benchmark::RegisterBenchmark((name + "/" + std::string(variant.name)).c_str(), run);
}

// Kernels over quantized weights: one panel, or a single row of it as in decoding.
inline void BenchGemmQuantized(benchmark::State& state, const GemmQuantizedVariant& variant) {
  const int64_t rows = state.range(0), depth = state.range(1);
  const int64_t blocks = depth / kQuantBlock;
  const int64_t tile_bytes = blocks * QuantizedBlockBytes(variant.tile_m, variant.x_bytes);
  const int64_t tiles = (rows + variant.tile_m - 1) / variant.tile_m;
  const std::vector<uint8_t> x(BenchSize(tiles, tile_bytes), 0x3c);
  const std::vector<uint8_t> weights(BenchSize(blocks, variant.block_bytes), 0x11);
  // As a layer does: a panel that serves many rows is unpacked once.
  const bool widened = variant.widen != nullptr && rows > variant.tile_m;
  std::vector<uint8_t> wide(widened ? BenchSize(blocks, variant.wide_block_bytes) : 0);
  GemmQuantizedArgs args;
  args.blocks = blocks;
  args.x = x.data();
  args.x_stride = tile_bytes;
  args.weights = widened ? wide.data() : weights.data();
  args.panel_stride = blocks * (widened ? variant.wide_block_bytes : variant.block_bytes);
  args.next = args.weights;
  BenchGemm(state, rows, variant.tile_n, depth, [&](const GemmOutput& output) {
    static_cast<GemmOutput&>(args) = output;
    if (widened) variant.widen(weights.data(), blocks, wide.data());
    (widened ? variant.wide_fn : variant.fn)(args);
  });
}

inline bool RegisterGemmQuantized(const std::string& kernel,
                                  std::span<const GemmQuantizedVariant> variants) {
  for (const GemmQuantizedVariant& variant : variants) {
    RegisterVariant(kernel, variant, BenchGemmQuantized)
        ->ArgNames({"rows", "depth"})
        ->Args({1, 896})
        ->Args({96, 192})
        ->Args({96, 768})
        ->Args({280, 896});
  }
  return true;
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_BENCH_H_
