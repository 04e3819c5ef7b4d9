// Measures what this machine can do at best, with which benchmarks are compared.
#ifndef FASTVLM_MEASURE_MACHINE_PEAK_H_
#define FASTVLM_MEASURE_MACHINE_PEAK_H_

#include <cstddef>

#include "base/thread_pool.h"

namespace fastvlm {

// The clock of a benchmark on a pool of `threads` threads, in seconds. On one thread it is the
// thread's CPU time, which other programs on the machine hardly disturb; otherwise it is the time
// that passes.
double BenchmarkTime(int threads);

// Multiply-adds by the best instruction set that FASTVLM_ISA allows, on all threads of the pool at
// once, in 10^9 operations per second; a multiply-add counts as two operations. The best of a few
// runs of some milliseconds each. The products are those of f32, of 8-bit integers with exact sums,
// of bf16 with f32 sums, and of f16. 0 if the instruction set has no such products.
double MeasurePeakGflops(ThreadPool& pool);
double MeasurePeakInt8Gops(ThreadPool& pool);
double MeasurePeakBf16Gflops(ThreadPool& pool);
double MeasurePeakF16Gflops(ThreadPool& pool);

// Reading `size` floats in order, of which each thread reads a part, in GB/s. The best of a few
// passes.
double MeasureReadGbps(const float* data, size_t size, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_MEASURE_MACHINE_PEAK_H_
