// The feed-forward block of the vision encoder: y = residual + scale * fc2(gelu(fc1(x))).
// Source: ConvFFN in Apple's mci.py, after its depthwise convolution.
#ifndef FASTVLM_OPS_FFN_H_
#define FASTVLM_OPS_FFN_H_

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "ops/linear.h"

namespace fastvlm {

// Bytes of scratch that Ffn needs with a pool of `threads` threads, for any number of rows.
size_t FfnScratchBytes(const PackedLinear& fc1, const PackedLinear& fc2, int threads);

// x: [m, fc1.k()], y and residual: [m, fc2.n()], all contiguous. fc2.k() == fc1.n(). scale:
// [fc2.n()] or null. residual: null, or an array that may be y; y must not overlap x. scratch:
// FfnScratchBytes, aligned to 64 bytes. The hidden map, four times as wide as x, is made in units
// of rows that stay in a cache. A row of y does not depend on m or on the number of threads.
// Threads: over rows.
void Ffn(const PackedLinear& fc1, const PackedLinear& fc2, const float* x, int64_t m, float* y,
         const float* scale, const float* residual, void* scratch, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_FFN_H_
