// Depthwise convolution of an NHWC image in f32, with zero padding of kernel / 2 on every side.
//   y[r,q,o] = act(bias[o] + sum_{ky,kx} x[r s + ky - kernel/2, q s + kx - kernel/2, o /
//   multiplier]
//                                        * weight[ky,kx,o]),   s = stride
// Weights must be finite: whether one outside of the image is left out or multiplied by zero is not
// defined.
// Source: torch.nn.Conv2d with groups = in_channels; gelu is torch.nn.GELU(), the exact one.
#ifndef FASTVLM_KERNELS_DEPTHWISE_F32_DEPTHWISE_F32_H_
#define FASTVLM_KERNELS_DEPTHWISE_F32_DEPTHWISE_F32_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// A block of the output: rows [row_begin, row_end), all columns, `channels` channels. Strides count
// elements. No alignment is needed and nothing outside the block is written.
struct DepthwiseF32Block {
  int kernel = 3;      // 3 or 7
  int stride = 1;      // 1 or 2
  int multiplier = 1;  // output channels of one input channel: 1 or 2
  bool gelu = false;

  // The image: x points at the first input channel of the block in its pixel (0, 0).
  const float* x = nullptr;
  int64_t height = 0, width = 0;  // >= 1
  int64_t x_row_stride = 0, x_pixel_stride = 0;

  // The following point at the block's first output channel, a multiple of `multiplier`.
  const float* weight = nullptr;  // [kernel, kernel, .], weight_tap_stride between two taps
  int64_t weight_tap_stride = 0;
  const float* bias = nullptr;
  float* y = nullptr;  // in its pixel (0, 0); does not overlap x
  int64_t y_row_stride = 0, y_pixel_stride = 0;

  int64_t channels = 0;  // of the output, a multiple of `multiplier`
  int64_t row_begin = 0, row_end = 0;
};

// |error| before gelu <= eps (kernel^2 + 1) (|bias| + sum |x| |weight|), eps = 2^-24; gelu
// multiplies it by at most 1.13 and adds 1e-6 (1 + |its argument|). How an output is divided into
// blocks does not change it.
using DepthwiseF32Fn = void (*)(const DepthwiseF32Block& block);

struct DepthwiseF32Variant {
  std::string_view name;
  Isa isa;
  DepthwiseF32Fn fn;
};

std::span<const DepthwiseF32Variant> DepthwiseF32Variants();  // best first
const DepthwiseF32Variant& BestDepthwiseF32();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_DEPTHWISE_F32_DEPTHWISE_F32_H_
