// The three steps of squeeze-and-excitation over an NHWC image of f32.
//   mean[c]  = sum_p x[p,c] / pixels
//   out[i]   = act(bias[i] + sum_j weight[i,j] in[j]),  act relu or sigmoid
//   x[p,c]  <- gelu(x[p,c] scale[c])
// Source: timm's SqueezeExcite before torch.nn.GELU() (the exact one).
#ifndef FASTVLM_KERNELS_SQUEEZE_EXCITE_SQUEEZE_EXCITE_H_
#define FASTVLM_KERNELS_SQUEEZE_EXCITE_SQUEEZE_EXCITE_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

enum class SqueezeExciteActivation { kRelu, kSigmoid };

// x: [pixels, channels], `stride` elements between pixels; pixels >= 1. Each 16 pixels
// have a sum of their own, and these are summed: the error is at most
// eps (pixels / 16 + 17) mean |x|, eps = 2^-24.
using ChannelMeanFn = void (*)(const float* x, int64_t pixels, int64_t channels, int64_t stride,
                               float* mean);

// weight: [rows, columns] row-major, in: [columns], bias and out: [rows]; out overlaps nothing.
// |error| before act <= eps (columns + 1) (|bias| + sum |weight| |in|); sigmoid adds 1e-6.
using ExciteRowsFn = void (*)(const float* weight, const float* bias, const float* in, int64_t rows,
                              int64_t columns, SqueezeExciteActivation activation, float* out);

// x: [pixels, channels] in place, `stride` elements between pixels.
// |error| <= 2e-6 (1 + |x scale|).
using ScaleGeluFn = void (*)(float* x, int64_t pixels, int64_t channels, int64_t stride,
                             const float* scale);

struct SqueezeExciteVariant {
  std::string_view name;
  Isa isa;
  ChannelMeanFn channel_mean;
  ExciteRowsFn excite_rows;
  ScaleGeluFn scale_gelu;
};

std::span<const SqueezeExciteVariant> SqueezeExciteVariants();  // best first
const SqueezeExciteVariant& BestSqueezeExcite();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_SQUEEZE_EXCITE_SQUEEZE_EXCITE_H_
