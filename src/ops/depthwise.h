// Depthwise convolution of an image, NHWC f32.
#ifndef FASTVLM_OPS_DEPTHWISE_H_
#define FASTVLM_OPS_DEPTHWISE_H_

#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

// out_channels = multiplier * in_channels; output channel o reads input channel o / multiplier.
struct DepthwiseWeights {
  int kernel = 0;  // 3 or 7; zeros pad kernel / 2 on every side
  int stride = 1;  // 1 or 2
  int64_t in_channels = 0, out_channels = 0;
  Buffer<float> weight;  // [kernel, kernel, out_channels] (ky, kx, channel)
  Buffer<float> bias;    // [out_channels]
};

enum class DepthwiseActivation { kNone, kGelu };  // the exact GELU, with erf

// x: [height, width, in_channels], y: [ceil(height / stride), ceil(width / stride), out_channels];
// they must not overlap. height, width >= 1. Formula and error: kernels/depthwise_f32. The result
// does not depend on the number of threads.
void Depthwise(const DepthwiseWeights& weights, const float* x, int64_t height, int64_t width,
               float* y, DepthwiseActivation activation, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_DEPTHWISE_H_
