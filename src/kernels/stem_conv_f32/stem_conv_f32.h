// The first convolution of the encoder: dense, 3x3, stride 2, padding 1, of an RGB image, NHWC f32.
//   y[r,q,o] = gelu(bias[o] + sum_{ky,kx,ci} x[2 r + ky - 1, 2 q + kx - 1, ci] weight[ky,kx,ci,o])
// with x = 0 outside the image. Source: torch.nn.Conv2d, torch.nn.GELU() (the exact one).
#ifndef FASTVLM_KERNELS_STEM_CONV_F32_STEM_CONV_F32_H_
#define FASTVLM_KERNELS_STEM_CONV_F32_STEM_CONV_F32_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// Output rows [row_begin, row_end). No alignment is needed.
struct StemConvF32Block {
  const float* x = nullptr;       // [height, width, 3], row-major
  int64_t height = 0, width = 0;  // >= 1
  const float* weight = nullptr;  // [3, 3, 3, channels]
  const float* bias = nullptr;    // [channels]
  float* y = nullptr;  // [(height + 1) / 2, (width + 1) / 2, channels]; does not overlap x
  int64_t channels = 0;
  int64_t row_begin = 0, row_end = 0;
};

// |error| before gelu <= 28 eps (|bias| + sum |x| |weight|), eps = 2^-24; gelu multiplies it by at
// most 1.13 and adds 1e-6 (1 + |its argument|).
// Which rows share a call does not change the result.
using StemConvF32Fn = void (*)(const StemConvF32Block& block);

struct StemConvF32Variant {
  std::string_view name;
  Isa isa;
  StemConvF32Fn fn;
};

std::span<const StemConvF32Variant> StemConvF32Variants();  // best first
const StemConvF32Variant& BestStemConvF32();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_STEM_CONV_F32_STEM_CONV_F32_H_
