#include "simd/vec_avx512.h"

#include <cstring>

#include "kernels/quantize_rows/args.h"

namespace fastvlm::avx512 {
namespace {

constexpr int64_t kBlock = 32;
constexpr int kUnits = 16;

// Up to sixteen blocks at work, with places at equal distances: their maxima and sums are reduced
// together, each in a lane of its own.
template <typename Q>
struct Units {
  const float* x;
  int64_t x_step;
  Q* q;
  int64_t q_step;
  float* scale;
  int32_t* start;
  int64_t step;  // of scale and start
};

struct Max {
  FASTVLM_INLINE __m512i Of(__m512i a, __m512i b) { return _mm512_max_epi32(a, b); }
};
struct Plus {
  FASTVLM_INLINE __m512i Of(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};

// Lane u of the result: all lanes of v[u], joined.
template <typename Join>
FASTVLM_INLINE __m512i ReduceSixteen(const __m512i (&v)[kUnits]) {
  __m512i quarter[4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
    const __m512i* at = v + 4 * g;
    const __m512i low =
        Join::Of(_mm512_unpacklo_epi32(at[0], at[1]), _mm512_unpackhi_epi32(at[0], at[1]));
    const __m512i high =
        Join::Of(_mm512_unpacklo_epi32(at[2], at[3]), _mm512_unpackhi_epi32(at[2], at[3]));
    quarter[g] = Join::Of(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
  }
  const auto fold = [&](__m512i a, __m512i b) {
    return Join::Of(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
  };
  return fold(fold(quarter[0], quarter[1]), fold(quarter[2], quarter[3]));
}

// The values of two units.
FASTVLM_INLINE void StoreQuantized(int8_t* first, int8_t* second, const __m512i (&q)[2][2]) {
  const __m512i lanes = _mm512_packs_epi16(_mm512_packs_epi32(q[0][0], q[0][1]),
                                           _mm512_packs_epi32(q[1][0], q[1][1]));
  const __m512i order =
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes = _mm512_permutexvar_epi32(order, lanes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), _mm512_castsi512_si256(bytes));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(second), _mm512_extracti64x4_epi64(bytes, 1));
}
FASTVLM_INLINE void StoreQuantized(int16_t* first, int16_t* second, const __m512i (&q)[2][2]) {
  for (int half = 0; half < 2; ++half) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(first + half * 16),
                        _mm512_cvtepi32_epi16(q[0][half]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second + half * 16),
                        _mm512_cvtepi32_epi16(q[1][half]));
  }
}

// The first `count` units, of `valid` values each; zeros fill a block up.
template <bool kWhole, typename Q>
FASTVLM_INLINE void QuantizeUnits(const Units<Q>& units, int count, int64_t valid, int32_t factor) {
  const auto load = [&](int u, int half) {
    const float* x = units.x + u * units.x_step + half * 16;
    return kWhole ? _mm512_loadu_ps(x)
                  : _mm512_maskz_loadu_ps(MaskOf(valid > half * 16 ? valid - half * 16 : 0), x);
  };
  // As integers, magnitudes are in the order of their values, and NaN is above infinity.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most[kUnits];
#pragma GCC unroll 16
  for (int u = 0; u < kUnits; ++u) {
    most[u] = _mm512_setzero_si512();
    if (u >= count) continue;
    most[u] = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(load(u, 0)), magnitude),
                               _mm512_and_si512(_mm512_castps_si512(load(u, 1)), magnitude));
  }
  const __m512i bits = ReduceSixteen<Max>(most);
  const __m512 value = _mm512_castsi512_ps(bits);
  const __m512 scale = _mm512_div_ps(value, _mm512_set1_ps(127.0f));
  // |x| times this rounds to 127 at most: it is within a rounding of 127 / value, or less.
  alignas(64) float inverse[kUnits];
  _mm512_store_ps(inverse, _mm512_min_ps(_mm512_div_ps(_mm512_set1_ps(127.0f), value),
                                         _mm512_set1_ps(3.402823466e38f)));
  __m512i sums[kUnits];
  alignas(64) Q beyond[kBlock];
#pragma GCC unroll 8
  for (int u = 0; u < kUnits; u += 2) {
    sums[u] = sums[u + 1] = _mm512_setzero_si512();
    if (u >= count) continue;
    __m512i q[2][2] = {};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      if (u + i >= count) continue;
      const __m512 times = _mm512_set1_ps(inverse[u + i]);
      q[i][0] = _mm512_cvtps_epi32(_mm512_mul_ps(load(u + i, 0), times));
      q[i][1] = _mm512_cvtps_epi32(_mm512_mul_ps(load(u + i, 1), times));
      sums[u + i] = _mm512_add_epi32(q[i][0], q[i][1]);
    }
    Q* first = units.q + u * units.q_step;
    StoreQuantized(first, u + 1 < count ? first + units.q_step : beyond, q);
  }
  const __m512i sum = ReduceSixteen<Plus>(sums);
  // What is not finite is stored as zeros, for the scale to tell.
  const __mmask16 finite = _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(0x7f800000));
  const __m512i start = _mm512_maskz_mullo_epi32(finite, sum, _mm512_set1_epi32(factor));
  if (finite != 0xffff) {
    for (int u = 0; u < count; ++u) {
      if ((finite >> u & 1) == 0) std::memset(units.q + u * units.q_step, 0, kBlock * sizeof(Q));
    }
  }
  if (units.step == 1) {
    _mm512_mask_storeu_ps(units.scale, MaskOf(count), scale);
    _mm512_mask_storeu_epi32(units.start, MaskOf(count), start);
    return;
  }
  alignas(64) float scales[kUnits];
  alignas(64) int32_t starts[kUnits];
  _mm512_store_ps(scales, scale);
  _mm512_store_si512(starts, start);
  for (int u = 0; u < count; ++u) {
    units.scale[u * units.step] = scales[u];
    units.start[u * units.step] = starts[u];
  }
}

// Blocks [b, b + 1) of `rows` rows of a tile, kUnits rows at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeColumn(const QuantizeRowsArgs& args, const float* x, int64_t rows,
                                   int64_t valid, uint8_t* block) {
  Q* q = reinterpret_cast<Q*>(block);
  float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
  int32_t* start = reinterpret_cast<int32_t*>(scale + args.tile_rows);
  for (int64_t row = 0; row < rows; row += kUnits) {
    const Units<Q> units = {x + row * args.x_stride, args.x_stride, q + row * kBlock, kBlock,
                            scale + row,             start + row,   1};
    const int count = static_cast<int>(rows - row < kUnits ? rows - row : kUnits);
    if (valid >= kBlock) {
      QuantizeUnits<true>(units, count, kBlock, args.start_factor);
    } else {
      QuantizeUnits<false>(units, count, valid, args.start_factor);
    }
  }
}

// The whole blocks of one row, kUnits at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeRow(const QuantizeRowsArgs& args, const float* x, int64_t row,
                                uint8_t* block) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  const int64_t blocks = args.depth / kBlock;
  for (int64_t b = 0; b < blocks; b += kUnits) {
    Q* q = reinterpret_cast<Q*>(block + b * block_bytes);
    float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
    const Units<Q> units = {x + b * kBlock,
                            kBlock,
                            q + row * kBlock,
                            block_bytes / static_cast<int64_t>(sizeof(Q)),
                            scale + row,
                            reinterpret_cast<int32_t*>(scale + args.tile_rows) + row,
                            block_bytes / 4};
    const int count = static_cast<int>(blocks - b < kUnits ? blocks - b : kUnits);
    QuantizeUnits<true>(units, count, kBlock, args.start_factor);
  }
}

template <typename Q>
FASTVLM_INLINE void Quantize(const QuantizeRowsArgs& args) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  for (int64_t first = 0; first < args.rows; first += args.tile_rows) {
    const int64_t rows = args.rows - first < args.tile_rows ? args.rows - first : args.tile_rows;
    const float* x = args.x + first * args.x_stride;
    uint8_t* tile = args.tiles + first / args.tile_rows * args.tile_stride;
    // A few rows fill the lanes with their own blocks.
    const bool by_row = rows <= kUnits / 4;
    int64_t p = 0;
    if (by_row) {
      for (int64_t row = 0; row < rows; ++row) {
        QuantizeRow<Q>(args, x + row * args.x_stride, row, tile);
      }
      p = args.depth / kBlock * kBlock;
    }
    for (; p < args.depth; p += kBlock) {
      QuantizeColumn<Q>(args, x + p, rows, args.depth - p, tile + p / kBlock * block_bytes);
    }
  }
}

}  // namespace

void QuantizeToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t>(args); }
void QuantizeToInt16(const QuantizeRowsArgs& args) { Quantize<int16_t>(args); }

}  // namespace fastvlm::avx512
