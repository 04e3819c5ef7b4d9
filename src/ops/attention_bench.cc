// Attention at the shapes of FastVLM, against what this machine can do at most, measured in the
// same run: peak/fma for the matrix products, peak/read for decoding.
#include "ops/attention.h"

#include <benchmark/benchmark.h>

#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastvlm {
namespace {

void Report(benchmark::State& state, double multiply_adds, double bytes) {
  using benchmark::Counter;
  const double n = static_cast<double>(state.iterations());
  state.counters["GMAC/s"] = Counter(multiply_adds * n * 1e-9, Counter::kIsRate);
  state.counters["GB/s"] = Counter(bytes * n * 1e-9, Counter::kIsRate);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) float FmaLoop(int64_t rounds) {
  const __m256 a = _mm256_set1_ps(0.5f);
  const __m256 b = _mm256_set1_ps(0.25f);
  __m256 acc[12] = {a, a, a, a, a, a, a, a, a, a, a, a};
  for (int64_t n = 0; n < rounds; ++n) {
#pragma GCC unroll 12
    for (__m256& x : acc) {
      x = _mm256_fmadd_ps(x, a, b);
      asm volatile("" : "+x"(x));  // or the twelve equal chains become one
    }
  }
  __m256 sum = b;
#pragma GCC unroll 12
  for (const __m256& x : acc) sum = _mm256_add_ps(sum, x);
  return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx2"))) float ReadLoop(const float* data, int64_t count) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
  for (int64_t i = 0; i < count; i += 32) {
    for (int j = 0; j < 4; ++j) sum[j] = _mm256_add_ps(sum[j], _mm256_load_ps(data + i + 8 * j));
  }
  return _mm256_cvtss_f32(
      _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

void BM_PeakFma(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  constexpr int64_t kRounds = 1'000'000;
  for (auto _ : state) {
    pool.ParallelFor(pool.threads(),
                     [](int64_t, int) { benchmark::DoNotOptimize(FmaLoop(kRounds)); });
  }
  Report(state, static_cast<double>(kRounds * 12 * 8 * pool.threads()), 0);
}

void BM_PeakRead(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  constexpr int64_t kChunk = int64_t{1} << 18;
  constexpr int64_t kChunks = 256;  // 256 MiB
  Buffer<float> data(kChunk * kChunks);
  for (float& x : data) x = 1;
  for (auto _ : state) {
    pool.ParallelFor(kChunks, [&](int64_t task, int) {
      benchmark::DoNotOptimize(ReadLoop(data.data() + task * kChunk, kChunk));
    });
  }
  Report(state, 0, static_cast<double>(kChunk * kChunks * 4));
}
BENCHMARK(BM_PeakFma)->Name("peak/fma")->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(BM_PeakRead)->Name("peak/read")->Arg(1)->Arg(2)->UseRealTime();
#endif

std::vector<float> Values(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t random = 1;
  for (float& x : values) {
    random = random * 1664525u + 1013904223u;
    x = static_cast<float>(random >> 8) * 0x1p-23f - 1.0f;
  }
  return values;
}

// Arguments: threads, tokens, heads, head_dim.
void BM_SelfAttention(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const int64_t tokens = state.range(1), heads = state.range(2), head_dim = state.range(3);
  const std::vector<float> qkv = Values(tokens * heads * head_dim * 3);
  std::vector<float> out(static_cast<size_t>(tokens * heads * head_dim));
  Buffer<float> scratch(SelfAttentionScratchFloats(tokens, heads, head_dim, pool.threads()));
  for (auto _ : state) {
    SelfAttention(qkv.data(), tokens, heads, head_dim, out.data(), scratch.data(), pool);
    benchmark::ClobberMemory();
  }
  Report(state, 2.0 * static_cast<double>(tokens * tokens * heads * head_dim), 0);
}
BENCHMARK(BM_SelfAttention)
    ->Name("encoder")
    ->Args({1, 1024, 24, 32})
    ->Args({2, 1024, 24, 32})
    ->Args({2, 256, 48, 32})
    ->Args({2, 2304, 24, 32})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Arguments: threads, tokens, start, heads, kv_heads, head_dim. Several layers, so that what is
// read is not in the caches.
void BM_CausalAttention(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const int64_t tokens = state.range(1), start = state.range(2), heads = state.range(3);
  const int64_t kv_heads = state.range(4), head_dim = state.range(5);
  const int64_t depth = start + tokens;
  const int64_t layer_bytes = depth * kv_heads * head_dim * 8;
  const int64_t layers = tokens > 1 ? 1 : std::max<int64_t>(1, (int64_t{128} << 20) / layer_bytes);
  const std::vector<float> kv_rows = Values(depth * kv_heads * head_dim);
  std::vector<KvLayer> kv;
  for (int64_t i = 0; i < layers; ++i) {
    kv.emplace_back(kv_heads, head_dim, depth);
    kv.back().Store(kv_rows.data(), kv_heads * head_dim, kv_rows.data(), kv_heads * head_dim, depth,
                    0);
  }
  const std::vector<float> q = Values(tokens * heads * head_dim);
  std::vector<float> out(q.size());
  Buffer<float> scratch(
      CausalAttentionScratchFloats(tokens, 1, heads, head_dim, depth, pool.threads()));
  size_t layer = 0;
  for (auto _ : state) {
    const CausalSegment segment{tokens, start, &kv[layer]};
    CausalAttention(q.data(), heads * head_dim, {&segment, 1}, heads, out.data(), heads * head_dim,
                    scratch.data(), pool);
    layer = (layer + 1) % kv.size();
    benchmark::ClobberMemory();
  }
  const double pairs = static_cast<double>(tokens) * static_cast<double>(start) +
                       0.5 * static_cast<double>(tokens) * static_cast<double>(tokens + 1);
  Report(state, 2.0 * pairs * static_cast<double>(heads * head_dim),
         static_cast<double>(layer_bytes));
}
BENCHMARK(BM_CausalAttention)
    ->Name("causal")
    ->Args({2, 280, 0, 14, 2, 64})
    ->Args({1, 512, 512, 14, 2, 64})
    ->Args({2, 512, 512, 14, 2, 64})
    ->Args({2, 512, 512, 12, 2, 128})
    ->Args({1, 512, 512, 28, 4, 128})
    ->Args({2, 512, 512, 28, 4, 128})
    ->Args({2, 2048, 0, 14, 2, 64})
    ->Args({1, 1, 4095, 14, 2, 64})
    ->Args({2, 1, 299, 14, 2, 64})
    ->Args({2, 1, 1023, 14, 2, 64})
    ->Args({2, 1, 4095, 14, 2, 64})
    ->Args({1, 1, 4095, 12, 2, 128})
    ->Args({2, 1, 4095, 12, 2, 128})
    ->Args({1, 1, 4095, 28, 4, 128})
    ->Args({2, 1, 4095, 28, 4, 128})
    ->Args({2, 1, 8191, 28, 4, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace fastvlm
