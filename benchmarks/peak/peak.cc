#include "peak/peak.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "base/cpu_features.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                      \
  namespace isa {                                 \
  double PeakFlops(long iterations, float* sink); \
  float PeakRead(const float* data, size_t size); \
  }
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

namespace {

constexpr int kRuns = 10;
constexpr size_t kSinkFloats = 16;  // one vector of any instruction set

// Multiplications and additions as plain code may have them, for a machine without either set.
double ScalarFlops(long iterations, float* sink) {
  float sums[kSinkFloats] = {};
  for (long n = 0; n < iterations; ++n) {
    for (float& sum : sums) sum = sum * sink[0] + sink[1];
  }
  std::copy_n(sums, kSinkFloats, sink);
  return 2.0 * kSinkFloats * static_cast<double>(iterations);
}

float ScalarRead(const float* data, size_t size) {
  float sums[kSinkFloats] = {};
  for (size_t at = 0; at + kSinkFloats <= size; at += kSinkFloats) {
    for (size_t i = 0; i < kSinkFloats; ++i) sums[i] += data[at + i];
  }
  return *std::max_element(sums, sums + kSinkFloats);
}

double Flops(long iterations, float* sink) {
#ifdef FASTVLM_HAVE_AVX512
  if (MaxIsa() == Isa::kAvx512) return avx512::PeakFlops(iterations, sink);
#endif
#ifdef FASTVLM_HAVE_AVX2
  if (MaxIsa() == Isa::kAvx2) return avx2::PeakFlops(iterations, sink);
#endif
  return ScalarFlops(iterations, sink);
}

float Read(const float* data, size_t size) {
#ifdef FASTVLM_HAVE_AVX512
  if (MaxIsa() == Isa::kAvx512) return avx512::PeakRead(data, size);
#endif
#ifdef FASTVLM_HAVE_AVX2
  if (MaxIsa() == Isa::kAvx2) return avx2::PeakRead(data, size);
#endif
  return ScalarRead(data, size);
}

}  // namespace

double BenchmarkTime(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double MeasurePeakGflops(ThreadPool& pool) {
  constexpr long kIterations = 500'000;
  std::vector<double> done(static_cast<size_t>(pool.threads()));
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double begin = BenchmarkTime(pool.threads());
    pool.ParallelFor(pool.threads(), [&](int64_t task, int) {
      alignas(64) float sink[kSinkFloats] = {0.5f, 0.25f};
      done[static_cast<size_t>(task)] = Flops(kIterations, sink);
    });
    const double seconds = BenchmarkTime(pool.threads()) - begin;
    double total = 0;
    for (double flops : done) total += flops;
    best = std::max(best, total / seconds * 1e-9);
  }
  return best;
}

double MeasureReadGbps(const float* data, size_t size, ThreadPool& pool) {
  const int64_t parts = int64_t{16} * pool.threads();
  const size_t part = size / static_cast<size_t>(parts);
  std::vector<float> sums(static_cast<size_t>(parts));
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double begin = BenchmarkTime(pool.threads());
    pool.ParallelFor(parts, [&](int64_t task, int) {
      sums[static_cast<size_t>(task)] = Read(data + static_cast<size_t>(task) * part, part);
    });
    const double bytes = static_cast<double>(part) * static_cast<double>(parts) * sizeof(float);
    best = std::max(best, bytes / (BenchmarkTime(pool.threads()) - begin) * 1e-9);
  }
  return best;
}

}  // namespace fastvlm
