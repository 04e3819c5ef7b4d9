// Weights [n, k] into the panels that the kernels read: [ceil(n / tile_n)][ceil(k / 2)][tile_n][2].
#ifndef FASTVLM_KERNELS_GEMM_BF16_PACK_H_
#define FASTVLM_KERNELS_GEMM_BF16_PACK_H_

#include <cstdint>

namespace fastvlm {

// One panel: columns [column, column + tile_n) of W^T, zeros beyond n and k. weight: [n, k],
// row-major, elements little-endian at any byte address. Rounded to the nearest BF16, ties to even.
void PackPairsF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  uint16_t* panel);
void PackPairsF16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  uint16_t* panel);
void PackPairsBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                   uint16_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_BF16_PACK_H_
