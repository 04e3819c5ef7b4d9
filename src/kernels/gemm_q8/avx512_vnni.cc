#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_quantized_generic.h"

namespace fastvlm::avx512 {

// VPDPBUSD multiplies unsigned bytes with signed ones: the weights are stored with 128 added, and
// the sums begin with -128 times the sum of the block's x.
struct Q8Tile {
  using X = int8_t;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2;
  static constexpr int64_t kBlockBytes = 32 * 32 + 2 * 32;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const TileBlock<X>& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    __m512i acc[rows][kVectors];
    for (int r = 0; r < rows; ++r) {
      const __m512i start = _mm512_set1_epi32(-128 * block.x_sum[r * block.block_stride]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = start;
    }
    for (int group = 0; group < 8; ++group) {
      __m512i w[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        w[v] = _mm512_loadu_si512(block.weights + v / 2 * block.panel_stride +
                                  (group * 2 + v % 2) * 64);
      }
      for (int r = 0; r < rows; ++r) {
        int32_t four;
        std::memcpy(&four, block.x + r * block.x_stride + group * 4, sizeof(four));
        const __m512i x = _mm512_set1_epi32(four);
        for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], w[v], x);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const __m512 w_scale = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(
          block.weights + v / 2 * block.panel_stride + 32 * 32 + v % 2 * 32)));
      for (int r = 0; r < rows; ++r) {
        const __m512 scale =
            _mm512_mul_ps(_mm512_set1_ps(block.x_scale[r * block.block_stride]), w_scale);
        float* sum = sums + (r * kVectors + v) * 16;
        _mm512_store_ps(sum,
                        _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[r][v]), scale, _mm512_load_ps(sum)));
      }
    }
  }
};

void GemmQ8(const GemmQuantizedArgs& args) { RunGemm<Q8Tile>(args); }

}  // namespace fastvlm::avx512
