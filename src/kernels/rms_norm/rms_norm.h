// Root mean square normalisation of rows.
//   y[i,c] = x[i,c] / sqrt(mean_c x[i,c]^2 + eps) * gain[c]
// Source: Qwen2RMSNorm of transformers (modeling_qwen2.py), in f32.
#ifndef FASTVLM_KERNELS_RMS_NORM_RMS_NORM_H_
#define FASTVLM_KERNELS_RMS_NORM_RMS_NORM_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// x, y: [rows, hidden] f32, contiguous; y may be x but may not overlap it otherwise. gain:
// [hidden]. hidden >= 1, eps > 0. The sum of squares must not overflow (elements up to 1e17 are
// safe); a NaN makes its row NaN throughout. |error| <= (hidden / 16 + 8) 2^-24 |y|.
using RmsNormFn = void (*)(const float* x, int64_t rows, int64_t hidden, const float* gain,
                           float eps, float* y);

struct RmsNormVariant {
  std::string_view name;
  Isa isa;
  RmsNormFn fn;
};

std::span<const RmsNormVariant> RmsNormVariants();  // best first
const RmsNormVariant& BestRmsNorm();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_RMS_NORM_RMS_NORM_H_
