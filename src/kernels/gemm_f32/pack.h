// Weights [n, k] into the panels that the kernels read: [ceil(n / tile_n)][k][tile_n].
#ifndef FASTVLM_KERNELS_GEMM_F32_PACK_H_
#define FASTVLM_KERNELS_GEMM_F32_PACK_H_

#include <cstdint>

namespace fastvlm {

// One panel: columns [column, column + tile_n) of W^T, zeros beyond n. weight: [n, k], row-major,
// elements little-endian at any byte address. panel: [k, tile_n].
void PackPanelF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                  float* panel);
void PackPanelF16ToF32(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                       float* panel);
// Rounded to the nearest BF16, ties to even.
void PackPanelF32ToBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                        uint16_t* panel);
void PackPanelF16ToBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                        uint16_t* panel);
void PackPanelBf16(const void* weight, int64_t n, int64_t k, int64_t column, int64_t tile_n,
                   uint16_t* panel);

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F32_PACK_H_
