// What this machine can do at best, measured: what benchmarks are compared with.
#ifndef FASTVLM_MEASURE_MACHINE_PEAK_H_
#define FASTVLM_MEASURE_MACHINE_PEAK_H_

#include <cstddef>

#include "base/thread_pool.h"

namespace fastvlm {

// The time that a benchmark on a pool of `threads` threads counts, in seconds: on one thread its
// CPU time, which other programs on the machine hardly disturb, otherwise the time that passes.
double BenchmarkTime(int threads);

// Multiply-adds of the best instruction set that FASTVLM_ISA allows, in 10^9 operations per second
// (two for each multiply-add), on all threads of the pool at once: of f32, of 8-bit integers
// with exact sums, of bf16 with f32 sums and of f16 (0 if the instruction set has none). Best of a
// few runs of some milliseconds.
double MeasurePeakGflops(ThreadPool& pool);
double MeasurePeakInt8Gops(ThreadPool& pool);
double MeasurePeakBf16Gflops(ThreadPool& pool);
double MeasurePeakF16Gflops(ThreadPool& pool);

// Reading memory in order, in GB/s: `size` floats, each thread a part. Best of a few passes.
double MeasureReadGbps(const float* data, size_t size, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_MEASURE_MACHINE_PEAK_H_
