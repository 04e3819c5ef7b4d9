#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_quantized_vnni.h"

namespace fastvlm::avx512 {

// VPDPBUSD multiplies unsigned bytes with signed ones: the weights are stored with 128 added, and
// the sums begin with -128 times the sum of the block's x.
struct Q8Tile {
  using Block = VnniBlock;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2;
  static constexpr int64_t kBlockBytes = 32 * 32 + 2 * 32;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    __m512i acc[rows][kVectors];
    StartSums<rows, kVectors>(block, acc);
#pragma GCC unroll 8
    for (int group = 0; group < 8; ++group) {
      __m512i w[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        w[v] = _mm512_loadu_si512(block.weights + v / 2 * block.panel_stride +
                                  (group * 2 + v % 2) * 64);
      }
      AddGroup<rows, kVectors>(block, group, w, acc);
    }
    AddScaled<rows, kVectors>(block, 32 * 32, acc, sums);
  }
};

void GemmQ8(const GemmQuantizedArgs& args) { RunGemm<Q8Tile>(args); }

}  // namespace fastvlm::avx512
