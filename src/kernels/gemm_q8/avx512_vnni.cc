#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_shared/quantized_vnni.h"

namespace fastvlm::avx512 {

// VPDPBUSD multiplies unsigned bytes with signed ones: the weights are stored with 128 added, and
// the sums begin with -128 times the sum of the block's x.
struct Q8Tile {
  using Block = VnniBlock;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2, kBlocks = 1;
  static constexpr int64_t kBlockBytes = 32 * 32 + 2 * 32;

  template <int rows, int panels>
  FASTVLM_INLINE void AddBlock(const Block& block, __m512i (&acc)[rows][2 * panels]) {
    constexpr int kVectors = 2 * panels;
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
  }

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    __m512i acc[rows][2 * panels];
    StartSums<rows, 2 * panels>(block, acc);
    AddBlock<rows, panels>(block, acc);
    AddScaled<rows, 2 * panels>(block, 32 * 32, acc, sums);
  }
};

// Two blocks with one scale: their sums are scaled once.
struct Q8PairTile {
  using Block = VnniBlock;
  static constexpr int kTileM = 12, kTileN = 32, kPanels1 = 4, kPanels2 = 2, kBlocks = 2;
  static constexpr int64_t kBlockBytes = Q8Tile::kBlockBytes;

  template <int rows, int panels>
  FASTVLM_INLINE void Add(const Block& block, float* sums) {
    constexpr int kVectors = 2 * panels;
    __m512i acc[rows][kVectors];
    StartSums<rows, kVectors>(block, acc);
    Q8Tile::AddBlock<rows, panels>(block, acc);
    const Block second = {block.block + Block::kXBytes, block.weights + kBlockBytes,
                          block.panel_stride};
    Q8Tile::AddBlock<rows, panels>(second, acc);
    AddScaled<rows, kVectors>(block, 32 * 32, acc, sums);
  }
};

void GemmQ8Pairs(const GemmQuantizedArgs& args) { RunGemm<Q8PairTile>(args); }
void GemmQ8(const GemmQuantizedArgs& args) { RunGemm<Q8Tile>(args); }

}  // namespace fastvlm::avx512
