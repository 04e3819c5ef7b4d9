// Normalisation of rows, over the threads of a pool.
#ifndef FASTVLM_OPS_NORM_H_
#define FASTVLM_OPS_NORM_H_

#include <cstdint>

#include "base/thread_pool.h"

namespace fastvlm {

// Layer normalisation with a gain and bias per channel, biased variance, eps inside the root:
// kernels/layer_norm has formula, source and error bound. x, y: [tokens, channels], contiguous, y
// may be x. gain, bias: [channels]. Results do not depend on the number of threads.
void LayerNorm(const float* x, int64_t tokens, int64_t channels, const float* gain,
               const float* bias, float eps, float* y, ThreadPool& pool);

// Root mean square normalisation with a gain: kernels/rms_norm has formula, source and error bound.
// x, y: [tokens, hidden], contiguous, y may be x. gain: [hidden]. Results do not depend on the
// number of threads.
void RmsNorm(const float* x, int64_t tokens, int64_t hidden, const float* gain, float eps, float* y,
             ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_NORM_H_
