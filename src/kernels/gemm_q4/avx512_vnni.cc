#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_shared/quantized_vnni.h"

namespace fastvlm::avx512 {

struct Q4Tile {
  using Block = VnniBlock;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2, kBlocks = 1;
  static constexpr int64_t kBlockBytes = 16 * 32 + 2 * 32;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    const __m512i low = _mm512_set1_epi8(15);
    __m512i acc[rows][kVectors];
    StartSums<rows, kVectors>(block, acc);
#pragma GCC unroll 8
    for (int group = 0; group < 8; ++group) {
      __m512i w[kVectors];
#pragma GCC unroll 8
      for (int p = 0; p < panels; ++p) {
        const __m512i bytes =
            _mm512_loadu_si512(block.weights + p * block.panel_stride + group * 64);
        w[2 * p] = _mm512_and_si512(bytes, low);
        w[2 * p + 1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low);
      }
      AddGroup<rows, kVectors>(block, group, w, acc);
    }
    AddScaled<rows, kVectors>(block, 16 * 32, acc, sums);
  }
};

void GemmQ4(const GemmQuantizedArgs& args) { RunGemm<Q4Tile>(args); }

}  // namespace fastvlm::avx512
