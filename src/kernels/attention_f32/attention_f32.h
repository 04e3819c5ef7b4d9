// Scaled dot-product attention of some query rows over a run of keys. It is done in one pass with a
// running maximum, so that the scores never leave the first-level cache.
//   s[r,j]   = sum_d q[r,d] k[j,d]              for keys j < visible[r]
//   max[r]   = max_j s[r,j]
//   sum[r]   = sum_j exp(s[r,j] - max[r])
//   acc[r,:] = sum_j exp(s[r,j] - max[r]) v[j,:]
// The attention's output is acc / sum; runs of keys that were computed apart combine after scaling
// each by exp(max - common max).
// Source: torch.nn.functional.scaled_dot_product_attention in f32; the running maximum is from
// "Online normalizer calculation for softmax", arXiv 1805.02867.
#ifndef FASTVLM_KERNELS_ATTENTION_F32_ATTENTION_F32_H_
#define FASTVLM_KERNELS_ATTENTION_F32_ATTENTION_F32_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

inline constexpr int64_t kAttentionRows = 64;   // query rows of one call, at most
inline constexpr int64_t kAttentionBlock = 64;  // keys of a key block
inline constexpr int64_t kAttentionPanel = 16;  // keys, or value elements, side by side in memory

// head_dim rounded up to whole panels, which is the length of a row of acc and of a value in a key
// block.
constexpr int64_t AttentionValueDim(int64_t head_dim) {
  return (head_dim + kAttentionPanel - 1) / kAttentionPanel * kAttentionPanel;
}

// A key block holds kAttentionBlock keys and their values for one key/value head:
//   keys    [kAttentionBlock / kAttentionPanel][head_dim][kAttentionPanel keys]
//   values  [AttentionValueDim / kAttentionPanel][kAttentionBlock][kAttentionPanel elements]
// PackKeyValue (pack.h) writes it. Elements of keys that no row sees may hold anything; the values
// are zero beyond head_dim.
constexpr int64_t AttentionBlockFloats(int64_t head_dim) {
  return kAttentionBlock * (head_dim + AttentionValueDim(head_dim));
}

struct AttentionF32Args {
  // Scaled queries in tiles of tile_rows rows, [tiles][head_dim][tile_rows]; PackQuery (pack.h)
  // writes one row of them. tile_rows is in [1, variant.tile_rows]. Rows of the last tile beyond
  // `rows` are not used.
  const float* q;
  int64_t tile_rows;
  int64_t rows;            // 1..kAttentionRows
  const int64_t* visible;  // [rows], each >= 1, not decreasing: keys a row sees, from the first on
  const float* blocks;     // ceil(visible[rows - 1] / kAttentionBlock) key blocks
  int64_t block_stride;    // floats from one key block to the next
  int64_t head_dim;
  float* max;  // [rows]
  float* sum;  // [rows]
  float* acc;  // [rows, AttentionValueDim(head_dim)], contiguous
};

// Queries, keys and values must be finite, and no score may overflow. A NaN reaches every row that
// sees it and may reach other rows of this call. With u = 2^-24, S the largest sum_d |q||k| of a
// row and V the largest |v|: |error of acc / sum| <= V (2 (head_dim + 4) S + visible / 8 + 64) u.
using AttentionF32Fn = void (*)(const AttentionF32Args& args);

struct AttentionF32Variant {
  std::string_view name;
  Isa isa;
  int64_t tile_rows;  // query rows of a full register tile
  AttentionF32Fn fn;
};

std::span<const AttentionF32Variant> AttentionF32Variants();  // best first
const AttentionF32Variant& BestAttentionF32();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_ATTENTION_F32_ATTENTION_F32_H_
