// What the AVX-512 VNNI tiles over quantized weights share. Included after the vector header and
// simd/math.h by a kernel's avx512_vnni.cc.
//
// Loops over sums are unrolled by pragma, and the products are in assembly: GCC 12 otherwise keeps
// the sums in memory, at less than half of the speed.
#include <immintrin.h>

#include "kernels/gemm_shared/quantized_generic.h"

namespace fastvlm::avx512 {

using VnniBlock = TileBlock<int8_t, 12>;

// sum += four products of unsigned w and signed x in each lane, in the order of the program.
FASTVLM_INLINE void AddProducts(__m512i& sum, __m512i w, __m512i x) {
  asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
}

// Sums begin with the negative of what the offset of the weights will add to them.
template <int rows, int vectors>
FASTVLM_INLINE void StartSums(const VnniBlock& block, __m512i (&acc)[rows][vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const __m512i start = _mm512_set1_epi32(block.x_start(r));
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) acc[r][v] = start;
  }
}

// Four neighbours along the depth.
template <int rows, int vectors>
FASTVLM_INLINE void AddGroup(const VnniBlock& block, int group, const __m512i (&w)[vectors],
                             __m512i (&acc)[rows][vectors]) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    int32_t four;
    std::memcpy(&four, block.x(r) + group * 4, sizeof(four));
    const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) AddProducts(acc[r][v], w[v], x);
  }
}

// The block's sums, times their scales, to the sums of the tile. scale_at: where a block of a panel
// has its scales.
template <int rows, int vectors>
FASTVLM_INLINE void AddScaled(const VnniBlock& block, int64_t scale_at,
                              const __m512i (&acc)[rows][vectors], float* sums) {
  __m512 w_scale[vectors];
#pragma GCC unroll 8
  for (int v = 0; v < vectors; ++v) {
    w_scale[v] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(
        block.weights + v / 2 * block.panel_stride + scale_at + v % 2 * 32)));
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const __m512 x_scale = _mm512_set1_ps(block.x_scale(r));
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      __m512 dot = _mm512_cvtepi32_ps(acc[r][v]);
      const __m512 scale = _mm512_mul_ps(x_scale, w_scale[v]);
      auto& sum = *reinterpret_cast<__m512*>(sums + (r * vectors + v) * 16);
      // sum = dot * scale + sum, in memory: GCC would copy all sums to another place first.
      asm volatile("vfmadd213ps %1, %2, %0\n\tvmovaps %0, %1" : "+v"(dot), "+m"(sum) : "v"(scale));
    }
  }
}

}  // namespace fastvlm::avx512
