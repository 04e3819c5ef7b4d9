// Rotary position embedding of queries and keys.
#ifndef FASTVLM_OPS_ROPE_H_
#define FASTVLM_OPS_ROPE_H_

#include <cstdint>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

// Cosines and sines of every angle position * theta^(-2i / head_dim), i < head_dim / 2.
// Source: Qwen2RotaryEmbedding of transformers (modeling_qwen2.py). As there, the inverse
// frequencies and the angles are rounded to f32 (at position 32767 that moves an angle by up to
// 4e-3), so that long contexts agree with the models' own code. Immutable, so threads may share it.
class RopeTable {
 public:
  // head_dim even and >= 2, theta > 0, 1 <= max_positions <= 2^24. Takes
  // max_positions * head_dim floats.
  RopeTable(int64_t head_dim, double theta, int64_t max_positions);

  int64_t head_dim() const { return head_dim_; }
  int64_t max_positions() const { return max_positions_; }

  // The rows of positions from `position` on, each head_dim / 2 cosines and then as many sines.
  const float* Rows(int64_t position) const { return values_.data() + position * head_dim_; }

 private:
  int64_t head_dim_;
  int64_t max_positions_;
  Buffer<float> values_;
};

// Rotates x: [tokens, heads * head_dim] in place, row i, `stride` floats after the one before,
// being at position start + i; start + tokens <= table.max_positions(). Element i of a head pairs
// with element i + head_dim / 2. Results do not depend on the number of threads.
void ApplyRope(const RopeTable& table, float* x, int64_t tokens, int64_t stride, int64_t heads,
               int64_t start, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ROPE_H_
