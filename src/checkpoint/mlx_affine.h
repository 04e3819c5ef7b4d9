// MLX's affine quantization: rows of unsigned integers of a few bits, with a scale and a bias for
// each group of consecutive values.
//   w[r, c] = scales[r, c / group] * q[r, c] + biases[r, c / group]
// The integers of a row follow each other without padding from the lowest bit of its first byte on;
// files call them U32 words. Scales may be negative.
// Source: affine_quantize of github.com/ml-explore/mlx; tested against mlx.core.dequantize
// (tests/reference/make_mlx_golden.py).
#ifndef FASTVLM_CHECKPOINT_MLX_AFFINE_H_
#define FASTVLM_CHECKPOINT_MLX_AFFINE_H_

#include <cstdint>

#include "checkpoint/tensor.h"

namespace fastvlm {

// Sets bits and group of `affine` from the sizes of a row: `columns` >= 1 values in `words` words
// with `groups` scales. False if MLX packs no row so: it has 2, 3, 4, 5, 6 or 8 bits and groups of
// 32, 64 or 128.
bool FindMlxPacking(int64_t columns, int64_t words, int64_t groups, MlxAffine* affine);

// Values [first, first + count) of a matrix, counted over all its rows, which are whole groups.
// packed: the integers, at any byte address. out: [count]. The sum is rounded to f32, and before it
// the product where scales are F32; both are exact otherwise.
void DequantizeMlx(const uint8_t* packed, const MlxAffine& affine, int64_t first, int64_t count,
                   float* out);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_MLX_AFFINE_H_
