#include <algorithm>
#include <cmath>

#include "kernels/attention_f32/attention_f32.h"

namespace fastvlm::scalar {
namespace {

const float* Key(const AttentionF32Args& args, int64_t j) {
  const int64_t place = j % kAttentionBlock;
  const int64_t panel = place / kAttentionPanel;
  return args.blocks + j / kAttentionBlock * args.block_stride +
         panel * kAttentionPanel * args.head_dim + place % kAttentionPanel;
}

float Score(const AttentionF32Args& args, int64_t row, int64_t j) {
  const int64_t tile = row / args.tile_rows;
  const float* q = args.q + tile * args.tile_rows * args.head_dim + row % args.tile_rows;
  const float* k = Key(args, j);
  float sum = 0;
  for (int64_t d = 0; d < args.head_dim; ++d) sum += q[d * args.tile_rows] * k[d * kAttentionPanel];
  return sum;
}

void AddValue(const AttentionF32Args& args, int64_t j, float weight, float* acc) {
  const float* values = args.blocks + j / kAttentionBlock * args.block_stride +
                        kAttentionBlock * args.head_dim + j % kAttentionBlock * kAttentionPanel;
  const int64_t value_dim = AttentionValueDim(args.head_dim);
  for (int64_t d = 0; d < value_dim; ++d) {
    acc[d] += weight *
              values[d / kAttentionPanel * kAttentionPanel * kAttentionBlock + d % kAttentionPanel];
  }
}

}  // namespace

void AttentionF32(const AttentionF32Args& args) {
  const int64_t value_dim = AttentionValueDim(args.head_dim);
  for (int64_t row = 0; row < args.rows; ++row) {
    float* acc = args.acc + row * value_dim;
    std::fill(acc, acc + value_dim, 0.0f);
    float max = Score(args, row, 0);
    for (int64_t j = 1; j < args.visible[row]; ++j) max = std::max(max, Score(args, row, j));
    float sum = 0;
    for (int64_t j = 0; j < args.visible[row]; ++j) {
      const float weight = std::exp(Score(args, row, j) - max);
      sum += weight;
      AddValue(args, j, weight, acc);
    }
    args.max[row] = max;
    args.sum[row] = sum;
  }
}

}  // namespace fastvlm::scalar
