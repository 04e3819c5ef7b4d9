// Writes the layouts that attention_f32.h describes.
#ifndef FASTVLM_KERNELS_ATTENTION_F32_PACK_H_
#define FASTVLM_KERNELS_ATTENTION_F32_PACK_H_

#include <cstdint>

namespace fastvlm {

// Stores `tokens` keys and values at places first..first + tokens - 1 of one block, which has
// AttentionBlockFloats(head_dim) floats; other places keep what they hold. k, v: [tokens,
// head_dim], rows k_stride and v_stride floats apart. first + tokens <= kAttentionBlock.
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
