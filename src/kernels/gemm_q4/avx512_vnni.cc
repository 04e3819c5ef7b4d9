#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_quantized_generic.h"

namespace fastvlm::avx512 {

struct Q4Tile {
  using X = int8_t;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2;
  static constexpr int64_t kBlockBytes = 16 * 32 + 2 * 32;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const TileBlock<X>& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    const __m512i low = _mm512_set1_epi8(15);
    __m512i acc[rows][kVectors];
    for (int r = 0; r < rows; ++r) {
      const __m512i start = _mm512_set1_epi32(-8 * block.x_sum[r * block.block_stride]);
      for (int v = 0; v < kVectors; ++v) acc[r][v] = start;
    }
    for (int group = 0; group < 8; ++group) {
      __m512i w[kVectors];
      for (int p = 0; p < panels; ++p) {
        const __m512i bytes =
            _mm512_loadu_si512(block.weights + p * block.panel_stride + group * 64);
        w[2 * p] = _mm512_and_si512(bytes, low);
        w[2 * p + 1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low);
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
          block.weights + v / 2 * block.panel_stride + 16 * 32 + v % 2 * 32)));
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

void GemmQ4(const GemmQuantizedArgs& args) { RunGemm<Q4Tile>(args); }

}  // namespace fastvlm::avx512
