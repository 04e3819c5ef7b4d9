#include "ops/linear.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/gemm_f32/pack.h"

namespace fastvlm {
namespace {

// A block of y is computed in pieces of the depth such that a panel's piece stays in the L1 cache
// while the block's rows pass over it and the block's piece of x stays in L2. The sums between two
// pieces are kept on the stack, which also holds a widened piece: 64 KB together.
constexpr int64_t kBlockRows = 144;
constexpr int64_t kBlockColumns = 64;
constexpr int64_t kPanelFloats = 6144;
// x of a block up to this size is at home in an L2 cache of 512 KB.
constexpr int64_t kCachedFloats = 64 * 1024;
// How far ahead of its use a weight is fetched when memory sets the pace, in steps of the depth.
constexpr int64_t kPrefetchDepth = 32;
// With this many rows it pays to widen a piece of bf16 weights once instead of once per row tile.
constexpr int64_t kWidenRows = 24;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

// A linear layer at work: all that its blocks have in common.
struct Call {
  const PackedLinear& weights;
  const float* x;
  int64_t m;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
  const Epilogue& epilogue;
};

struct Block {
  int64_t row;
  int64_t rows;
  int64_t column;  // a multiple of tile_n
  int64_t columns;
};

GemmF32Args OutputArgs(const Call& call, const Block& block) {
  const Epilogue& epilogue = call.epilogue;
  GemmF32Args args;
  args.rows = block.rows;
  args.columns = block.columns;
  args.x = call.x + block.row * call.x_stride;
  args.x_stride = call.x_stride;
  args.start = call.weights.bias() + block.column;
  args.y = call.y + block.row * call.y_stride + block.column;
  args.y_stride = call.y_stride;
  args.activation = epilogue.activation;
  if (epilogue.scale != nullptr) args.scale = epilogue.scale + block.column;
  if (epilogue.residual != nullptr) {
    args.residual = epilogue.residual + block.row * epilogue.residual_stride + block.column;
    args.residual_stride = epilogue.residual_stride;
  }
  return args;
}

// Few rows: every weight is used once, so there is nothing to keep in a cache, and memory sets the
// pace: it is asked for weights well ahead.
void RunStreaming(const Call& call, const Block& block) {
  const PackedLinear& weights = call.weights;
  GemmF32Args args = OutputArgs(call, block);
  args.depth = weights.k();
  args.panel_stride = weights.k() * weights.variant().tile_n;
  if (weights.is_bf16()) {
    args.weights = weights.bf16(block.column, 0);
    args.next = weights.bf16(block.column, kPrefetchDepth);
    weights.variant().bf16(args);
  } else {
    args.weights = weights.f32(block.column, 0);
    args.next = weights.f32(block.column, kPrefetchDepth);
    weights.variant().f32(args);
  }
}

void RunBlocked(const Call& call, const Block& block) {
  alignas(kAlignment) float sums[kBlockRows * kBlockColumns];
  alignas(kAlignment) float wide[kPanelFloats];
  const PackedLinear& weights = call.weights;
  const GemmF32Variant& variant = weights.variant();
  const int64_t tile_n = variant.tile_n;
  const int64_t k = weights.k();
  const int64_t step = CeilDiv(k, CeilDiv(k, kPanelFloats / tile_n));
  const bool widen = weights.is_bf16() && block.rows >= kWidenRows;
  const GemmF32Args output = OutputArgs(call, block);
  const auto run_piece = [&](int64_t j, int64_t p) {
    const int64_t column = block.column + j;
    const int64_t depth = std::min(step, k - p);
    GemmF32Args args;
    args.rows = block.rows;
    args.columns = tile_n;
    args.depth = depth;
    args.x = output.x + p;
    args.x_stride = output.x_stride;
    args.start = p == 0 ? output.start + j : sums + j;
    args.start_stride = p == 0 ? 0 : kBlockColumns;
    args.y = sums + j;
    args.y_stride = kBlockColumns;
    if (p + depth == k) {
      args.columns = std::min(tile_n, block.columns - j);
      args.y = output.y + j;
      args.y_stride = output.y_stride;
      args.activation = output.activation;
      if (output.scale != nullptr) args.scale = output.scale + j;
      if (output.residual != nullptr) args.residual = output.residual + j;
      args.residual_stride = output.residual_stride;
    }
    if (!weights.is_bf16()) {
      args.weights = weights.f32(column, p);
      args.next = weights.f32(column, p + depth);
      variant.f32(args);
    } else if (widen) {
      variant.widen(weights.bf16(column, p), depth * tile_n, wide);
      args.weights = wide;
      variant.f32(args);
    } else {
      args.weights = weights.bf16(column, p);
      args.next = weights.bf16(column, p + depth);
      variant.bf16(args);
    }
  };
  if (block.rows * k <= kCachedFloats) {
    // All of the block's x stays in L2, so that the weights are read in the order of memory.
    for (int64_t j = 0; j < block.columns; j += tile_n) {
      for (int64_t p = 0; p < k; p += step) run_piece(j, p);
    }
  } else {
    for (int64_t p = 0; p < k; p += step) {
      for (int64_t j = 0; j < block.columns; j += tile_n) run_piece(j, p);
    }
  }
}

// How y is cut into blocks. The cut has no influence on the results.
class Plan {
 public:
  Plan(const PackedLinear& weights, int64_t m, int threads) : m_(m), n_(weights.n()) {
    const GemmF32Variant& variant = weights.variant();
    streaming_ = m <= variant.tile_m;
    if (streaming_) {
      // Whole groups of the four panels the kernel takes side by side.
      const int64_t group = 4 * variant.tile_n;
      rows_ = m;
      columns_ = RoundUp(CeilDiv(n_, int64_t{8} * threads), group);
    } else {
      columns_ = kBlockColumns;
      int64_t row_blocks = CeilDiv(m, kBlockRows);
      // Enough blocks that the threads finish together, if that leaves each enough rows.
      while (row_blocks * CeilDiv(n_, columns_) < int64_t{4} * threads &&
             m >= 2 * kWidenRows * row_blocks) {
        row_blocks *= 2;
      }
      rows_ = RoundUp(CeilDiv(m, row_blocks), variant.tile_m);
    }
    row_blocks_ = CeilDiv(m, rows_);
    column_blocks_ = CeilDiv(n_, columns_);
    // Neighbouring tasks share the operand that is costlier to fetch again.
    by_columns_ = n_ > m;
  }

  int64_t blocks() const { return row_blocks_ * column_blocks_; }

  void Run(const Call& call, int64_t index) const {
    const int64_t row = (by_columns_ ? index % row_blocks_ : index / column_blocks_) * rows_;
    const int64_t column = (by_columns_ ? index / row_blocks_ : index % column_blocks_) * columns_;
    const Block block = {row, std::min(rows_, m_ - row), column, std::min(columns_, n_ - column)};
    if (streaming_) {
      RunStreaming(call, block);
    } else {
      RunBlocked(call, block);
    }
  }

 private:
  int64_t m_;
  int64_t n_;
  bool streaming_;
  bool by_columns_;
  int64_t rows_;
  int64_t columns_;
  int64_t row_blocks_;
  int64_t column_blocks_;
};

}  // namespace

PackedLinear PackedLinear::Pack(const void* weight, WeightType type, int64_t n, int64_t k,
                                const float* bias, ThreadPool& pool) {
  FASTVLM_CHECK(n >= 1 && k >= 1);
  PackedLinear packed;
  packed.n_ = n;
  packed.k_ = k;
  packed.variant_ = &BestGemmF32();
  const int64_t tile_n = packed.variant_->tile_n;
  const int64_t padded = RoundUp(n, tile_n);
  packed.bias_ = Buffer<float>(static_cast<size_t>(padded));
  std::fill_n(packed.bias_.data(), padded, 0.0f);
  if (bias != nullptr) std::copy_n(bias, n, packed.bias_.data());
  const size_t size = static_cast<size_t>(padded * k);
  if (type == WeightType::kBf16) {
    packed.bf16_ = Buffer<uint16_t>(size);
  } else {
    packed.f32_ = Buffer<float>(size);
  }
  pool.ParallelFor(padded / tile_n, [&](int64_t panel, int) {
    const int64_t column = panel * tile_n;
    const int64_t at = packed.At(column, 0);
    switch (type) {
      case WeightType::kF32:
        return PackPanelF32(weight, n, k, column, tile_n, packed.f32_.data() + at);
      case WeightType::kF16:
        return PackPanelF16ToF32(weight, n, k, column, tile_n, packed.f32_.data() + at);
      case WeightType::kBf16:
        return PackPanelBf16(weight, n, k, column, tile_n, packed.bf16_.data() + at);
    }
  });
  return packed;
}

size_t PackedLinear::bytes() const {
  return (f32_.size() + bias_.size()) * sizeof(float) + bf16_.size() * sizeof(uint16_t);
}

void Linear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
            int64_t y_stride, const Epilogue& epilogue, ThreadPool& pool) {
  if (m <= 0) return;
  const Call call = {weights, x, m, x_stride, y, y_stride, epilogue};
  const Plan plan(weights, m, pool.threads());
  pool.ParallelFor(plan.blocks(), [&](int64_t index, int) { plan.Run(call, index); });
}

void LinearOneThread(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
                     float* y, int64_t y_stride, const Epilogue& epilogue) {
  if (m <= 0) return;
  const Call call = {weights, x, m, x_stride, y, y_stride, epilogue};
  const Plan plan(weights, m, 1);
  for (int64_t index = 0; index < plan.blocks(); ++index) plan.Run(call, index);
}

}  // namespace fastvlm
