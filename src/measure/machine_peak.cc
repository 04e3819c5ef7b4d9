#include "measure/machine_peak.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "kernels/peak/peak.h"

namespace fastvlm {
namespace {

constexpr int kRuns = 10;

double MeasureGops(double (*loop)(long iterations, float* sink), ThreadPool& pool) {
  constexpr long kIterations = 500'000;
  std::vector<double> done(static_cast<size_t>(pool.threads()));
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double begin = BenchmarkTime(pool.threads());
    pool.ParallelFor(pool.threads(), [&](int64_t task, int) {
      alignas(64) float sink[kPeakSinkFloats] = {0.5f, 0.25f};
      done[static_cast<size_t>(task)] = loop(kIterations, sink);
    });
    const double seconds = BenchmarkTime(pool.threads()) - begin;
    double total = 0;
    for (double operations : done) total += operations;
    best = std::max(best, total / seconds * 1e-9);
  }
  return best;
}

}  // namespace

double BenchmarkTime(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double MeasurePeakGflops(ThreadPool& pool) { return MeasureGops(BestPeak().f32, pool); }
double MeasurePeakInt8Gops(ThreadPool& pool) { return MeasureGops(BestPeak().int8, pool); }

double MeasurePeakBf16Gflops(ThreadPool& pool) {
  return BestPeak().bf16 == nullptr ? 0 : MeasureGops(BestPeak().bf16, pool);
}

double MeasurePeakF16Gflops(ThreadPool& pool) {
  return BestPeak().f16 == nullptr ? 0 : MeasureGops(BestPeak().f16, pool);
}

double MeasureReadGbps(const float* data, size_t size, ThreadPool& pool) {
  const int64_t parts = int64_t{16} * pool.threads();
  const size_t part = size / static_cast<size_t>(parts);
  std::vector<float> sums(static_cast<size_t>(parts));
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double begin = BenchmarkTime(pool.threads());
    pool.ParallelFor(parts, [&](int64_t task, int) {
      sums[static_cast<size_t>(task)] =
          BestPeak().read(data + static_cast<size_t>(task) * part, part);
    });
    const double bytes = static_cast<double>(part) * static_cast<double>(parts) * sizeof(float);
    best = std::max(best, bytes / (BenchmarkTime(pool.threads()) - begin) * 1e-9);
  }
  return best;
}

}  // namespace fastvlm
