#include "kernels/attention_f32/pack.h"

#include <algorithm>

#include "kernels/attention_f32/attention_f32.h"

namespace fastvlm {
namespace {

// Places [first, first + count) of one panel of keys; the writes of one d are neighbours.
void PackKeyPanel(const float* k, int64_t stride, int64_t first, int64_t count, int64_t head_dim,
                  float* panel) {
  for (int64_t d = 0; d < head_dim; ++d) {
    float* to = panel + d * kAttentionPanel + first;
    for (int64_t j = 0; j < count; ++j) to[j] = k[j * stride + d];
  }
}

}  // namespace

void PackKeyValue(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
                  int64_t tokens, int64_t head_dim, float* block) {
  for (int64_t t = 0; t < tokens;) {
    const int64_t place = (first + t) % kAttentionPanel;
    const int64_t count = std::min(kAttentionPanel - place, tokens - t);
    float* panel = block + (first + t - place) * head_dim;
    PackKeyPanel(k + t * k_stride, k_stride, place, count, head_dim, panel);
    t += count;
  }
  float* values = block + kAttentionBlock * head_dim;
  for (int64_t base = 0; base < head_dim; base += kAttentionPanel) {
    const int64_t width = std::min(kAttentionPanel, head_dim - base);
    float* panel = values + base * kAttentionBlock + first * kAttentionPanel;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* from = v + t * v_stride + base;
      float* to = panel + t * kAttentionPanel;
      std::copy(from, from + width, to);
      std::fill(to + width, to + kAttentionPanel, 0.0f);
    }
  }
}

int64_t EvenTileRows(int64_t rows, int64_t tile_rows) {
  const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  return (rows + tiles - 1) / tiles;
}

void PackQuery(const float* q, float scale, int64_t row, int64_t tile_rows, int64_t head_dim,
               float* packed) {
  float* to = packed + row / tile_rows * tile_rows * head_dim + row % tile_rows;
  for (int64_t d = 0; d < head_dim; ++d) to[d * tile_rows] = q[d] * scale;
}

}  // namespace fastvlm
