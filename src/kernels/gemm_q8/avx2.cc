#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/gemm_shared/quantized_generic.h"

namespace fastvlm::avx2 {

// VPMADDUBSW would take bytes, but its sums of two products saturate at 16 bits. VPMADDWD on values
// widened to 16 bits is exact and does as many products in a cycle as the detour around that.
// Values of x are int16_t; two neighbours along the depth meet two of each of eight columns.

// sum += product, in place and in the order of the program: left to itself, GCC loads all of x
// first and spills the sums.
FASTVLM_INLINE void Accumulate(__m256i& sum, __m256i product) {
  asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(product));
}

struct NarrowWeights {
  static constexpr int64_t kBlockBytes = 32 * 16 + 2 * 16;
  FASTVLM_INLINE __m256i Load(const uint8_t* block, int at) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + at * 16)));
  }
  FASTVLM_INLINE __m256 Scales(const uint8_t* block, int vector) {
    return _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 32 * 16 + vector * 16)));
  }
};

// A panel unpacked: the bytes as int16_t, the scales as float.
struct WideWeights {
  static constexpr int64_t kBlockBytes = 2 * 32 * 16 + 4 * 16;
  FASTVLM_INLINE __m256i Load(const uint8_t* block, int at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + at * 32));
  }
  FASTVLM_INLINE __m256 Scales(const uint8_t* block, int vector) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(block + 2 * 32 * 16) + vector * 8);
  }
};

template <typename Weights>
struct Q8Tile {
  using Block = TileBlock<int16_t, 6>;
  static constexpr int kTileM = 6, kTileN = 16, kPanels1 = 4, kPanels2 = 2, kBlocks = 1;
  static constexpr int64_t kBlockBytes = Weights::kBlockBytes;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    __m256i acc[rows][kVectors];
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm256_setzero_si256();
    }
    for (int pair = 0; pair < 16; ++pair) {
      __m256i w[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        w[v] = Weights::Load(block.weights + v / 2 * block.panel_stride, pair * 2 + v % 2);
      }
      for (int r = 0; r < rows; ++r) {
        int32_t two;
        std::memcpy(&two, block.x(r) + pair * 2, sizeof(two));
        const __m256i x = _mm256_set1_epi32(two);
        for (int v = 0; v < kVectors; ++v) {
          Accumulate(acc[r][v], _mm256_madd_epi16(x, w[v]));
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const __m256 w_scale = Weights::Scales(block.weights + v / 2 * block.panel_stride, v % 2);
      for (int r = 0; r < rows; ++r) {
        const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(block.x_scale(r)), w_scale);
        float* sum = sums + (r * kVectors + v) * 8;
        _mm256_store_ps(sum,
                        _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[r][v]), scale, _mm256_load_ps(sum)));
      }
    }
  }
};

void GemmQ8(const GemmQuantizedArgs& args) { RunGemm<Q8Tile<NarrowWeights>>(args); }
void GemmQ8Wide(const GemmQuantizedArgs& args) { RunGemm<Q8Tile<WideWeights>>(args); }

void GemmQ8Widen(const uint8_t* weights, int64_t blocks, uint8_t* wide) {
  for (int64_t b = 0; b < blocks; ++b) {
    for (int at = 0; at < 32; ++at) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(wide + at * 32),
                          NarrowWeights::Load(weights, at));
    }
    for (int v = 0; v < 2; ++v) {
      _mm256_storeu_ps(reinterpret_cast<float*>(wide + 2 * 32 * 16) + v * 8,
                       NarrowWeights::Scales(weights, v));
    }
    weights += NarrowWeights::kBlockBytes;
    wide += WideWeights::kBlockBytes;
  }
}

}  // namespace fastvlm::avx2
