// What this machine can do at best: the yardstick of the benchmarks.
#ifndef FASTVLM_BENCHMARKS_PEAK_PEAK_H_
#define FASTVLM_BENCHMARKS_PEAK_PEAK_H_

#include <cstddef>

#include "base/thread_pool.h"

namespace fastvlm {

// The time that a benchmark on a pool of `threads` threads counts, in seconds: on one thread its
// CPU time, which other programs on the machine hardly disturb, otherwise the time that passes.
double BenchmarkTime(int threads);

// f32 multiply-adds of the best instruction set that FASTVLM_ISA allows, in GFLOP/s (two for each
// multiply-add), on all threads of the pool at once. Best of a few runs of some milliseconds.
double MeasurePeakGflops(ThreadPool& pool);

// Reading memory in order, in GB/s: `size` floats, each thread a part. Best of a few passes.
double MeasureReadGbps(const float* data, size_t size, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_BENCHMARKS_PEAK_PEAK_H_
