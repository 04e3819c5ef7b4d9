// The first two convolutions of the vision encoder, NHWC f32, without their map in between: at
// 1024 x 1024 it would be 100 MB, four times the next largest.
#ifndef FASTVLM_OPS_STEM_H_
#define FASTVLM_OPS_STEM_H_

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "ops/depthwise.h"

namespace fastvlm {

// Dense 3x3, stride 2, padding 1, from the 3 channels of an image.
struct StemConvWeights {
  int64_t out_channels = 0;
  Buffer<float> weight;  // [3, 3, 3, out_channels] (ky, kx, input channel, output channel)
  Buffer<float> bias;    // [out_channels]
};

// y = gelu(depthwise(gelu(convolution(x)))), the exact GELU; both add their bias. depthwise: 3x3,
// stride 2, one output per channel. x: [height, width, 3], height, width >= 1;
// y: [ceil(height / 4), ceil(width / 4), channels] (halving and rounding up twice), apart from x.
// scratch: StemScratchFloats floats. Formula and error: kernels/stem_conv_f32, depthwise_f32. The
// result does not depend on the number of threads.
size_t StemScratchFloats(const StemConvWeights& conv, int64_t height, int64_t width, int threads);
void Stem(const StemConvWeights& conv, const DepthwiseWeights& depthwise, const float* x,
          int64_t height, int64_t width, float* y, float* scratch, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_STEM_H_
