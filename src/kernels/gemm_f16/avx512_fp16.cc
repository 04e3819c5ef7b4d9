#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/gemm_f16/args.h"
#include "kernels/gemm_shared/output_generic.h"

namespace fastvlm::avx512 {

constexpr int kTileM = 12;
constexpr int64_t kTileN = 2 * kLanes;  // one vector of f16
constexpr int kRun = kF16Run;
constexpr int kUnrolled = 4;  // of a run

// sum += w * x of 32 f16. In assembly, and the loops around it unrolled by pragma: GCC 12 otherwise
// keeps the sums in memory.
FASTVLM_INLINE void AddProduct(__m512i& sum, __m512i w, __m512i x) {
  asm volatile("vfmadd231ph %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
}

FASTVLM_INLINE void AddHalves(__m512i& sum, const __m512i& more) {
  asm volatile("vaddph %1, %0, %0" : "+v"(sum) : "m"(more));
}

FASTVLM_INLINE __m512i SetTwice(const uint32_t* x) {
  return _mm512_set1_epi32(static_cast<int32_t>(*x));
}

// Of rows x panels of y: the f32 sums, what a span's sums are multiplied with, and these.
template <int rows, int panels>
struct F16Sums {
  static constexpr int kVectors = 2 * panels;
  alignas(64) float sums[rows * kVectors * kLanes];
  alignas(64) float factors[rows * kVectors * kLanes];
  __m512i span[rows * panels];
};

template <int rows, int panels>
FASTVLM_INLINE void StartSums(const GemmF16Args& args, int64_t i, int64_t j,
                              F16Sums<rows, panels>& all) {
  constexpr int kVectors = 2 * panels;
  const float* start = args.start + i * args.start_stride + j;
  for (int r = 0; r < rows; ++r) {
    const F32 x_factor = Set(args.x_factor[i + r]);
    for (int v = 0; v < kVectors; ++v) {
      const int at = (r * kVectors + v) * kLanes;
      Store(all.sums + at, Load(start + r * args.start_stride + v * kLanes));
      Store(all.factors + at, Mul(x_factor, Load(args.w_factor + j + v * kLanes)));
    }
  }
}

// The sums of a span, widened from memory because that costs no shuffle.
template <int rows, int panels>
FASTVLM_INLINE void AddSpan(F16Sums<rows, panels>& all) {
  const auto* halves = reinterpret_cast<const __m256i*>(all.span);
#pragma GCC unroll 96
  for (int v = 0; v < rows * 2 * panels; ++v) {
    __m512 dot = _mm512_cvtph_ps(_mm256_load_si256(halves + v));
    const __m512 factor = _mm512_load_ps(all.factors + v * kLanes);
    auto& sum = *reinterpret_cast<__m512*>(all.sums + v * kLanes);
    // sum = dot * factor + sum, in memory: GCC would copy all sums to another place first.
    asm volatile("vfmadd213ps %1, %2, %0\n\tvmovaps %0, %1" : "+v"(dot), "+m"(sum) : "v"(factor));
  }
}

// One value of the depth.
template <int rows, int panels, bool last>
FASTVLM_INLINE void F16Step(const uint32_t* x, const uint16_t* w, const uint16_t* next,
                            int64_t panel_stride, __m512i (&acc)[rows][panels]) {
  __m512i b[panels];
#pragma GCC unroll 4
  for (int v = 0; v < panels; ++v) {
    if constexpr (last) Prefetch(next + v * panel_stride);
    b[v] = _mm512_loadu_si512(w + v * panel_stride);
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const __m512i a = SetTwice(x + r * kRun);
#pragma GCC unroll 4
    for (int v = 0; v < panels; ++v) AddProduct(acc[r][v], b[v], a);
  }
}

// Sums of a run live in registers, of a span and of all in the L1 cache. The last tile of a
// panel fetches what comes after it.
template <int rows, int panels, bool last>
FASTVLM_INLINE void F16Tile(const GemmF16Args& args, int64_t i, int64_t j) {
  F16Sums<rows, panels> all;
  StartSums(args, i, j, all);
  const int64_t panel = j / kTileN * args.panel_stride;
  const uint32_t* x = args.x + i / kTileM * args.x_tile_stride;
  const uint16_t* w = args.weights + panel;
  const uint16_t* next = (args.next != nullptr ? args.next : args.weights) + panel;
  for (int64_t run = 0; run < args.runs; ++run) {
    __m512i acc[rows][panels];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < panels; ++v) acc[r][v] = _mm512_setzero_si512();
    }
    for (int p = 0; p < kRun; p += kUnrolled) {
#pragma GCC unroll 4
      for (int q = 0; q < kUnrolled; ++q) {
        F16Step<rows, panels, last>(x + p + q, w + (p + q) * kTileN, next + (p + q) * kTileN,
                                    args.panel_stride, acc);
      }
    }
    const bool first = run % kF16RunsPerSpan == 0;
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < panels; ++v) {
        __m512i& span = all.span[r * panels + v];
        if (!first) AddHalves(acc[r][v], span);
        _mm512_store_si512(&span, acc[r][v]);
      }
    }
    if (run % kF16RunsPerSpan == kF16RunsPerSpan - 1 || run + 1 == args.runs) {
      AddSpan(all);
    }
    x += args.x_tile_rows * kRun;
    w += kRun * kTileN;
    next += kRun * kTileN;
  }
  constexpr int kVectors = 2 * panels;
  if constexpr (rows == kTileM) {
    FinishTileOf<rows, kVectors, GeluForm::kNear>(args, all.sums, i, j);
  } else {
    FinishTile<GeluForm::kNear>(args, {all.sums, i, j, rows, kVectors});
  }
}

// The last rows of some panels, at most `rows`.
template <int rows, int panels>
FASTVLM_INLINE void LastF16Tile(const GemmF16Args& args, int64_t i, int64_t j) {
  if constexpr (rows > 0) {
    if (args.rows - i == rows) {
      F16Tile<rows, panels, true>(args, i, j);
    } else {
      LastF16Tile<rows - 1, panels>(args, i, j);
    }
  }
}

template <int panels>
FASTVLM_INLINE int64_t F16Rows(const GemmF16Args& args, int64_t j) {
  for (; j + (panels - 1) * kTileN < args.columns; j += panels * kTileN) {
    int64_t i = 0;
    for (; i + kTileM < args.rows; i += kTileM) F16Tile<kTileM, panels, false>(args, i, j);
    LastF16Tile<kTileM, panels>(args, i, j);
  }
  return j;
}

void GemmF16(const GemmF16Args& args) {
  int64_t j = 0;
  // One row waits less for its own sums with more panels side by side.
  if (args.rows == 1) {
    for (; j + 3 * kTileN < args.columns; j += 4 * kTileN) F16Tile<1, 4, true>(args, 0, j);
  }
  j = F16Rows<2>(args, j);
  F16Rows<1>(args, j);
}

// The largest magnitude as bits, so that NaN is above infinity.
FASTVLM_INLINE uint32_t LargestBits(const float* x, int64_t size) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i largest[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  int64_t p = 0;
  for (; p + 2 * kLanes <= size; p += 2 * kLanes) {
    for (int v = 0; v < 2; ++v) {
      const __m512i bits = _mm512_castps_si512(Load(x + p + v * kLanes).v);
      largest[v] = _mm512_max_epu32(largest[v], _mm512_and_si512(bits, magnitude));
    }
  }
  for (; p < size; p += kLanes) {
    const __m512i bits = _mm512_castps_si512(LoadPartial(x + p, size - p).v);
    largest[0] = _mm512_max_epu32(largest[0], _mm512_and_si512(bits, magnitude));
  }
  return _mm512_reduce_max_epu32(_mm512_max_epu32(largest[0], largest[1]));
}

FASTVLM_INLINE int64_t RoundUpToRun(int64_t depth) { return (depth + kRun - 1) / kRun * kRun; }

FASTVLM_INLINE float FromExponent(uint32_t biased) {
  const uint32_t bits = biased << 23;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

FASTVLM_INLINE __m512i NarrowTwice(F32 x) {
  const __m256i half = _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512i low = _mm512_cvtepu16_epi32(half);
  return _mm512_or_si512(low, _mm512_slli_epi32(low, 16));
}

void RoundRowsToF16(const F16RowsArgs& args) {
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    uint32_t exponent = LargestBits(x, args.depth) >> 23;
    if (exponent <= kF16RowExponent) exponent = kF16RowExponent + 1;
    args.factor[i] = FromExponent(exponent - kF16RowExponent);
    const F32 scale = Set(FromExponent(254 + kF16RowExponent - exponent));
    uint32_t* to = args.tiles + i / kTileM * args.tile_stride + i % kTileM * kRun;
    int64_t p = 0;
    for (; p + kRun <= args.depth; p += kRun, to += args.tile_rows * kRun) {
      for (int q = 0; q < kRun; q += kLanes) {
        _mm512_storeu_si512(to + q, NarrowTwice(Mul(Load(x + p + q), scale)));
      }
    }
    for (; p < RoundUpToRun(args.depth); p += kLanes, to += kLanes) {
      const int64_t left = args.depth > p ? args.depth - p : 0;
      _mm512_storeu_si512(to, NarrowTwice(Mul(LoadPartial(x + p, left), scale)));
    }
  }
}

}  // namespace fastvlm::avx512
