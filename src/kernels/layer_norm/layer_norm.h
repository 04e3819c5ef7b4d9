// Layer normalisation of rows.
//   y[i,c] = (x[i,c] - mean_i) / sqrt(var_i + eps) * gain[c] + bias[c]
//   mean_i = mean_c x[i,c],  var_i = mean_c (x[i,c] - mean_i)^2
// Source: LayerNormChannel of FastViTHD (mci.py); torch.nn.functional.layer_norm over the last
// axis.
#ifndef FASTVLM_KERNELS_LAYER_NORM_LAYER_NORM_H_
#define FASTVLM_KERNELS_LAYER_NORM_LAYER_NORM_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// x, y: [rows, channels] f32, contiguous; y may be x but may not overlap it otherwise. gain, bias:
// [channels]. channels >= 1, eps >= 0. A row with an infinity or NaN becomes NaN throughout.
// With c = channels / 16 + 8 and u = 2^-24, for a row of largest magnitude A and deviation s:
// |error| <= 2 c u (A / s + |x - mean| / s) |gain| + 2 u |y|.
using LayerNormFn = void (*)(const float* x, int64_t rows, int64_t channels, const float* gain,
                             const float* bias, float eps, float* y);

struct LayerNormVariant {
  std::string_view name;
  Isa isa;
  LayerNormFn fn;
};

std::span<const LayerNormVariant> LayerNormVariants();  // best first
const LayerNormVariant& BestLayerNorm();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_LAYER_NORM_LAYER_NORM_H_
