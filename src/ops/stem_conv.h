// The first convolution of the vision encoder, NHWC f32.
#ifndef FASTVLM_OPS_STEM_CONV_H_
#define FASTVLM_OPS_STEM_CONV_H_

#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

// Dense 3x3, stride 2, padding 1, from the 3 channels of an image.
struct StemConvWeights {
  int64_t out_channels = 0;
  Buffer<float> weight;  // [3, 3, 3, out_channels] (ky, kx, input channel, output channel)
  Buffer<float> bias;    // [out_channels]
};

// y = gelu(convolution of x + bias), the exact GELU. x: [height, width, 3], height, width >= 1;
// y: [ceil(height / 2), ceil(width / 2), out_channels]; they must not overlap. Formula and error:
// kernels/stem_conv_f32. The result does not depend on the number of threads.
void StemConv(const StemConvWeights& weights, const float* x, int64_t height, int64_t width,
              float* y, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_STEM_CONV_H_
