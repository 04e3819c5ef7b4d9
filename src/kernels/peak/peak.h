// Loops that do nothing but what a machine does best: the yardstick of the benchmarks.
#ifndef FASTVLM_KERNELS_PEAK_PEAK_H_
#define FASTVLM_KERNELS_PEAK_PEAK_H_

#include <cstddef>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

struct PeakVariant {
  std::string_view name;
  Isa isa;
  // f32 multiply-adds on registers; returns the operations done, two for each multiply-add. sink:
  // kPeakSinkFloats values, of which some are the inputs; the sums are written there, so that the
  // compiler can leave nothing out. If all inputs are 1, the sums grow by 1 for each multiply-add.
  double (*f32)(long iterations, float* sink);
  // The same of exact dot products of 8-bit integers with 32-bit sums.
  double (*int8)(long iterations, float* sink);
  // The same of dot products of bf16 with f32 sums; null where gemm_bf16 has no instruction.
  double (*bf16)(long iterations, float* sink);
  // The same of f16 multiply-adds with f16 sums; null where gemm_f16 has no instruction.
  double (*f16)(long iterations, float* sink);
  // The sum of `size` floats, read in the order that is fastest.
  float (*read)(const float* data, size_t size);
};

inline constexpr size_t kPeakSinkFloats = 16;  // one vector of any instruction set

std::span<const PeakVariant> PeakVariants();  // best first
const PeakVariant& BestPeak();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_PEAK_PEAK_H_
