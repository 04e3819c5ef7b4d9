// Rotary position embedding of rows in place, in the rotate-half arrangement: the pair of element i
// of a head's first half is element i of its second half.
//   x1' = x1 cos - x2 sin,  x2' = x2 cos + x1 sin
// Source: apply_rotary_pos_emb of transformers (modeling_qwen2.py), in f32.
#ifndef FASTVLM_KERNELS_ROPE_ROPE_H_
#define FASTVLM_KERNELS_ROPE_ROPE_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// x: [rows, heads * head_dim] f32, row i at x + i * stride, replaced. head_dim is even. table: for
// each row its head_dim / 2 cosines, then its head_dim / 2 sines. Two products and one sum, each
// rounded: the same bits from every variant.
using RopeFn = void (*)(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
                        const float* table);

struct RopeVariant {
  std::string_view name;
  Isa isa;
  RopeFn fn;
};

std::span<const RopeVariant> RopeVariants();  // best first
const RopeVariant& BestRope();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_ROPE_ROPE_H_
