#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_bf16/args.h"
#include "kernels/gemm_shared/output_generic.h"

namespace fastvlm::avx512 {

constexpr int kTileM = 12;
constexpr int64_t kTileN = 2 * kLanes;

FASTVLM_INLINE __m512i SetBf16Pair(const uint16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

// sum += the two products of each lane's pairs. In assembly, and the loops around it unrolled by
// pragma: GCC 12 otherwise keeps the sums in memory.
FASTVLM_INLINE void AddPairs(__m512& sum, __m512i w, __m512i x) {
  asm volatile("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
}

// The sums of rows x panels of y live in registers while the depth runs by. The last tile of a
// panel fetches what comes after it.
template <int rows, int panels, bool last>
FASTVLM_INLINE void Bf16Tile(const GemmBf16Args& args, int64_t i, int64_t j) {
  constexpr int kVectors = 2 * panels;
  __m512 sums[rows][kVectors];
  const float* start = args.start + i * args.start_stride + j;
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = Load(start + r * args.start_stride + v * kLanes).v;
    }
  }
  const int64_t panel = j / kTileN * args.panel_stride;
  const uint16_t* x = args.x + i * args.x_stride;
  const uint16_t* w = args.weights + panel;
  const uint16_t* next = (args.next != nullptr ? args.next : args.weights) + panel;
  for (int64_t p = 0; p < args.pairs; ++p) {
    if constexpr (last) {
      for (int v = 0; v < kVectors; ++v) {
        Prefetch(next + v / 2 * args.panel_stride + v % 2 * 2 * kLanes);
      }
      next += 2 * kTileN;
    }
    __m512i b[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      b[v] = _mm512_loadu_si512(w + v / 2 * args.panel_stride + v % 2 * 2 * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const __m512i a = SetBf16Pair(x + r * args.x_stride);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) AddPairs(sums[r][v], b[v], a);
    }
    x += 2;
    w += 2 * kTileN;
  }
  alignas(64) float stored[rows * kVectors * kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_ps(stored + (r * kVectors + v) * kLanes, sums[r][v]);
    }
  }
  if constexpr (rows == kTileM && panels == 1) {
    FinishTileOf<rows, kVectors, GeluForm::kNear>(args, stored, i, j);
  } else {
    FinishTile<GeluForm::kNear>(args, {stored, i, j, rows, kVectors});
  }
}

// The last rows of a panel, at most `rows`.
template <int rows>
FASTVLM_INLINE void LastBf16Tile(const GemmBf16Args& args, int64_t i, int64_t j) {
  if constexpr (rows > 0) {
    if (args.rows - i == rows) {
      Bf16Tile<rows, 1, true>(args, i, j);
    } else {
      LastBf16Tile<rows - 1>(args, i, j);
    }
  }
}

// With one or two rows a tile of one panel would wait for its own sums; more panels side by side
// give the CPU independent work.
template <int rows, int panels>
FASTVLM_INLINE int64_t FewBf16Rows(const GemmBf16Args& args, int64_t j) {
  for (; j + (panels - 1) * kTileN < args.columns; j += panels * kTileN) {
    Bf16Tile<rows, panels, true>(args, 0, j);
  }
  return j;
}

void GemmBf16(const GemmBf16Args& args) {
  int64_t j = 0;
  if (args.rows == 1) {
    j = FewBf16Rows<1, 4>(args, j);
    j = FewBf16Rows<1, 2>(args, j);
  }
  if (args.rows == 2) j = FewBf16Rows<2, 2>(args, j);
  // Fewer than four rows would wait as well: the last two tiles share what is left.
  constexpr int kHalf = kTileM / 2 + 1;
  for (; j < args.columns; j += kTileN) {
    int64_t i = 0;
    for (; i + kTileM + 4 <= args.rows; i += kTileM) Bf16Tile<kTileM, 1, false>(args, i, j);
    if (i + kTileM < args.rows) {
      Bf16Tile<kHalf, 1, false>(args, i, j);
      i += kHalf;
    }
    LastBf16Tile<kTileM>(args, i, j);
  }
}

void RoundToBf16(const float* x, int64_t size, uint16_t* bf16) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const __m256bh rounded = _mm512_cvtneps_pbh(Load(x + i).v);
    std::memcpy(bf16 + i, &rounded, sizeof(rounded));
  }
  if (i == size) return;
  const __m256bh rounded = _mm512_cvtneps_pbh(LoadPartial(x + i, size - i).v);
  const int64_t pairs = (size - i + 1) / 2;
  std::memcpy(bf16 + i, &rounded, static_cast<size_t>(pairs) * 2 * sizeof(uint16_t));
}

}  // namespace fastvlm::avx512
