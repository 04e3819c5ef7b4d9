// Linear layers: y = residual + scale * activation(x W^T + bias).
// Source: torch.nn.functional.linear; the kernel's contract is in kernels/gemm_f32/gemm_f32.h.
#ifndef FASTVLM_OPS_LINEAR_H_
#define FASTVLM_OPS_LINEAR_H_

#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "kernels/gemm_f32/gemm_f32.h"

namespace fastvlm {

enum class WeightType { kF32, kBf16, kF16 };

// The weights and bias of a linear layer in the order the kernel reads them. Immutable after Pack,
// shareable between threads. BF16 weights stay BF16 in memory and are widened, exactly, as they are
// used; F16 weights become f32. Belongs to the kernel variant that was the best one at Pack.
class PackedLinear {
 public:
  PackedLinear() = default;

  // weight: [n, k] row-major at any byte address; bias: [n] or null. n, k >= 1. Copies both.
  // Threads: over panels of W.
  static PackedLinear Pack(const void* weight, WeightType type, int64_t n, int64_t k,
                           const float* bias, ThreadPool& pool);

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  size_t bytes() const;  // of memory held

  const GemmF32Variant& variant() const { return *variant_; }
  bool is_bf16() const { return !bf16_.empty(); }
  // The panel of column `column`, a multiple of tile_n, from depth `depth` on.
  const float* f32(int64_t column, int64_t depth) const { return f32_.data() + At(column, depth); }
  const uint16_t* bf16(int64_t column, int64_t depth) const {
    return bf16_.data() + At(column, depth);
  }
  const float* bias() const { return bias_.data(); }  // padded to whole panels, zeros if none

 private:
  int64_t At(int64_t column, int64_t depth) const { return column * k_ + depth * variant_->tile_n; }

  int64_t n_ = 0;
  int64_t k_ = 0;
  const GemmF32Variant* variant_ = nullptr;
  Buffer<float> f32_;  // one of the two is empty
  Buffer<uint16_t> bf16_;
  Buffer<float> bias_;
};

// What follows the product; each part is optional. residual: [m, n], row i at residual +
// i * residual_stride; it may be y itself, with y's stride.
struct Epilogue {
  Activation activation = Activation::kNone;
  const float* scale = nullptr;  // [n]
  const float* residual = nullptr;
  int64_t residual_stride = 0;
};

// x: [m, k], row i at x + i * x_stride. y: [m, n], row i at y + i * y_stride; must not overlap x or
// the weights. A row of y does not depend on m or on the number of threads, to the last bit.
// Threads: over blocks of y.
void Linear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
            int64_t y_stride, const Epilogue& epilogue, ThreadPool& pool);

// The same, by the calling thread alone: for use inside a parallel loop.
void LinearOneThread(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
                     float* y, int64_t y_stride, const Epilogue& epilogue);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_LINEAR_H_
