// Weights [n, k] into the panels that the kernels read: [ceil(n / tile_n)][k to a multiple of
// kF16Run][tile_n], and a factor for each column.
#ifndef FASTVLM_KERNELS_GEMM_F16_PACK_H_
#define FASTVLM_KERNELS_GEMM_F16_PACK_H_

#include <cstdint>

namespace fastvlm {

// One panel of `columns` columns, tile_n at most. weight: [columns, k], row-major, of which each
// value is first rounded to the nearest BF16, ties to even. panel: [k to a multiple of kF16Run,
// tile_n] f16, zeros beyond k and columns. factor: [tile_n], powers of two: panel times factor is
// the weight in BF16, to the last bit unless it is below 2^-20 of its column's largest, where the
// error is 2^-28 of that at most (or the largest is below 2^-123). A column with inf or NaN has
// them in the panel as well.
void PackF16(const float* weight, int64_t columns, int64_t k, int64_t tile_n, uint16_t* panel,
             float* factor);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F16_PACK_H_
