#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/gemm_shared/quantized_generic.h"

namespace fastvlm::avx2 {

// sum += product, in place and in the order of the program: left to itself, GCC loads all of x
// first and spills the sums.
FASTVLM_INLINE void Accumulate(__m256i& sum, __m256i product) {
  asm volatile("vpaddw %1, %0, %0" : "+x"(sum) : "x"(product));
}

// Nibbles are at most 15, so that VPMADDUBSW cannot saturate, and neither can the 16-bit sum of a
// whole block: 16 pairs of products of at most 15 * 127 make 30480 at most.
struct Q4Tile {
  using Block = TileBlock<int8_t, 6>;
  static constexpr int kTileM = 6, kTileN = 16, kPanels1 = 4, kPanels2 = 2, kBlocks = 1;
  static constexpr int64_t kBlockBytes = 16 * 16 + 2 * 16;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    const __m256i low = _mm256_set1_epi8(15);
    __m256i acc[rows][kVectors];
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm256_setzero_si256();
    }
    for (int group = 0; group < 8; ++group) {
      __m256i w[kVectors];
      for (int p = 0; p < panels; ++p) {
        const __m256i bytes = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(block.weights + p * block.panel_stride + group * 32));
        w[2 * p] = _mm256_and_si256(bytes, low);
        w[2 * p + 1] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
      }
      for (int r = 0; r < rows; ++r) {
        int32_t four;
        std::memcpy(&four, block.x(r) + group * 4, sizeof(four));
        const __m256i x = _mm256_set1_epi32(four);
        for (int v = 0; v < kVectors; ++v) {
          Accumulate(acc[r][v], _mm256_maddubs_epi16(w[v], x));
        }
      }
    }
    const __m256i ones = _mm256_set1_epi16(1);
    for (int v = 0; v < kVectors; ++v) {
      const __m256 w_scale = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(
          block.weights + v / 2 * block.panel_stride + 16 * 16 + v % 2 * 16)));
      for (int r = 0; r < rows; ++r) {
        const __m256i dot = _mm256_add_epi32(_mm256_madd_epi16(acc[r][v], ones),
                                             _mm256_set1_epi32(block.x_start(r)));
        const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(block.x_scale(r)), w_scale);
        float* sum = sums + (r * kVectors + v) * 8;
        _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, _mm256_load_ps(sum)));
      }
    }
  }
};

void GemmQ4(const GemmQuantizedArgs& args) { RunGemm<Q4Tile>(args); }

}  // namespace fastvlm::avx2
