// Writes the layouts that attention_f32.h describes.
#ifndef FASTVLM_KERNELS_ATTENTION_F32_PACK_H_
#define FASTVLM_KERNELS_ATTENTION_F32_PACK_H_

#include <algorithm>
#include <cstdint>

#include "kernels/attention_f32/attention_f32.h"

namespace fastvlm {

// Stores `tokens` keys and values at places first..first + tokens - 1 of a key block, which has
// AttentionBlockFloats(head_dim) elements. Other places keep what they hold. k, v: [tokens,
// head_dim], rows k_stride and v_stride floats apart. first + tokens <= kAttentionBlock. An element
// is stored as key(token, d, k) or value(token, d, v) gives it.
template <typename T, typename KeyFn, typename ValueFn>
void PackKeyValue(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
                  int64_t tokens, int64_t head_dim, T* block, KeyFn key, ValueFn value) {
  for (int64_t t = 0; t < tokens;) {
    const int64_t place = (first + t) % kAttentionPanel;
    const int64_t count = std::min(kAttentionPanel - place, tokens - t);
    T* panel = block + (first + t - place) * head_dim + place;
    for (int64_t d = 0; d < head_dim; ++d) {  // the writes of one d are neighbours
      T* to = panel + d * kAttentionPanel;
      for (int64_t j = 0; j < count; ++j) to[j] = key(t + j, d, k[(t + j) * k_stride + d]);
    }
    t += count;
  }
  T* values = block + kAttentionBlock * head_dim;
  for (int64_t base = 0; base < head_dim; base += kAttentionPanel) {
    const int64_t width = std::min(kAttentionPanel, head_dim - base);
    T* panel = values + base * kAttentionBlock + first * kAttentionPanel;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* from = v + t * v_stride + base;
      T* to = panel + t * kAttentionPanel;
      for (int64_t d = 0; d < width; ++d) to[d] = value(t, base + d, from[d]);
      std::fill(to + width, to + kAttentionPanel, T{0});
    }
  }
}

// The same as f32.
void PackKeyValue(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
                  int64_t tokens, int64_t head_dim, float* block);

// Rows are split evenly over as few tiles as tile_rows allows: 7 rows in tiles of at most 6 are
// 4 + 3, which keeps more accumulators busy than 6 + 1.
int64_t EvenTileRows(int64_t rows, int64_t tile_rows);

// Floats of the queries' layout for up to `rows` rows and any tile size up to kAttentionPanel.
constexpr int64_t PackedQueryFloats(int64_t rows, int64_t head_dim) {
  return (rows + 15) * head_dim;
}

// Writes row `row` of the queries, times `scale`, into their layout of tiles of tile_rows.
void PackQuery(const float* q, float scale, int64_t row, int64_t tile_rows, int64_t head_dim,
               float* packed);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_ATTENTION_F32_PACK_H_
