// Squeeze-and-excitation followed by GELU, as the encoder's last convolution has it; NHWC f32.
#ifndef FASTVLM_OPS_SQUEEZE_EXCITE_H_
#define FASTVLM_OPS_SQUEEZE_EXCITE_H_

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

struct SqueezeExciteWeights {
  int64_t channels = 0, reduced = 0;
  Buffer<float> reduce_weight;  // [reduced, channels]
  Buffer<float> reduce_bias;    // [reduced]
  Buffer<float> expand_weight;  // [channels, reduced]
  Buffer<float> expand_bias;    // [channels]
};

// Elements of the scratch memory that SqueezeExciteGelu needs.
size_t SqueezeExciteScratchSize(const SqueezeExciteWeights& weights);

// x <- gelu(x s), s = sigmoid(expand(relu(reduce(m)))), m[c] the mean of x[., c] over all pixels;
// the exact GELU. x: [pixels, channels] in place, pixels >= 1. scratch: at least
// SqueezeExciteScratchSize(weights) elements, contents lost. The result does not depend on the
// number of threads.
void SqueezeExciteGelu(const SqueezeExciteWeights& weights, float* x, int64_t pixels,
                       float* scratch, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_SQUEEZE_EXCITE_H_
