// Linear layers: y = residual + scale * activation(x W^T + bias).
// Source: torch.nn.functional.linear. What the products are, and how exact, is in the contracts of
// kernels/gemm_f32, gemm_bf16, gemm_f16, gemm_q8 and gemm_q4.
#ifndef FASTVLM_OPS_LINEAR_H_
#define FASTVLM_OPS_LINEAR_H_

#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"
#include "kernels/gemm_shared/output.h"
#include "ops/packed_linear.h"

namespace fastvlm {

// What follows the product; each part is optional. residual: [m, n], row i at residual +
// i * residual_stride; it may be y itself, with y's stride.
struct Epilogue {
  Activation activation = Activation::kNone;
  const float* scale = nullptr;  // [n]
  const float* residual = nullptr;
  int64_t residual_stride = 0;
};

// What Linear does to m rows, for a profile.
Work LinearWork(const PackedLinear& weights, int64_t m);

// Bytes of scratch that Linear needs for m rows or fewer: room for x as the format of the weights
// has it, quantized or rounded to bf16 or f16. 0 if products are of f32.
size_t LinearScratchBytes(const PackedLinear& weights, int64_t m);

// x: [m, k], row i at x + i * x_stride. y: [m, n], row i at y + i * y_stride; must not overlap x or
// the weights. scratch: LinearScratchBytes, aligned like floats; may be null if that is 0. A row of
// y does not depend on m or on the number of threads, to the last bit. Threads: over parts of y.
void Linear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
            int64_t y_stride, const Epilogue& epilogue, void* scratch, ThreadPool& pool);

// The same, by the calling thread alone: for use inside a parallel loop.
void LinearOneThread(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
                     float* y, int64_t y_stride, const Epilogue& epilogue, void* scratch);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_LINEAR_H_
