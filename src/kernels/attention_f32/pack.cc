#include "kernels/attention_f32/pack.h"

namespace fastvlm {
void PackKeyValue(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
                  int64_t tokens, int64_t head_dim, float* block) {
  const auto as_it_is = [](int64_t, int64_t, float x) { return x; };
  PackKeyValue(k, k_stride, v, v_stride, first, tokens, head_dim, block, as_it_is, as_it_is);
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
