// Four blocks of 32 values quantized together: for the kernel of this folder and for products
// that hand quantized rows on. Included after the vector header.
#ifndef FASTVLM_KERNELS_QUANTIZE_ROWS_AVX512_H_
#define FASTVLM_KERNELS_QUANTIZE_ROWS_AVX512_H_

#include <cstring>

#include "kernels/quantize_rows/args.h"

namespace fastvlm::avx512 {

constexpr int64_t kQuantizedBlock = 32;
constexpr int kUnits = 4;

// Up to four blocks at work, with places at equal distances: their maxima and sums are reduced
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

// Lane u of the result: the greatest of all lanes of v[u].
FASTVLM_INLINE __m128i ReduceMaxima(const __m512i (&v)[kUnits]) {
  const __m512i low =
      _mm512_max_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i high =
      _mm512_max_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  const __m512i lanes =
      _mm512_max_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
  const __m256i half =
      _mm256_max_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
  return _mm_max_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// bytes[i]: the values of units 2 i and 2 i + 1. Lane u of the result: the sum of unit u.
FASTVLM_INLINE __m128i SumBytes(const __m512i (&bytes)[2]) {
  __m512i four[2];  // sums of four
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512i two = _mm512_maddubs_epi16(_mm512_set1_epi8(1), bytes[i]);
    four[i] = _mm512_madd_epi16(two, _mm512_set1_epi16(1));
  }
  __m512i sum = _mm512_add_epi32(_mm512_unpacklo_epi32(four[0], four[1]),
                                 _mm512_unpackhi_epi32(four[0], four[1]));
  sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
  sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xb1));
  return _mm_unpacklo_epi32(_mm512_castsi512_si128(sum), _mm512_extracti32x4_epi32(sum, 2));
}

FASTVLM_INLINE void StoreBytes(int8_t* q, __m256i bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
}
FASTVLM_INLINE void StoreBytes(int16_t* q, __m256i bytes) {
  _mm512_storeu_si512(q, _mm512_cvtepi8_epi16(bytes));
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
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
    most[u] = _mm512_setzero_si512();
    if (u >= count) continue;
    most[u] = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(load(u, 0)), magnitude),
                               _mm512_and_si512(_mm512_castps_si512(load(u, 1)), magnitude));
  }
  const __m128i bits = ReduceMaxima(most);
  const __m128 value = _mm_castsi128_ps(bits);
  const __m128 scale = _mm_div_ps(value, _mm_set1_ps(127.0f));
  // |x| times this rounds to 127 at most: it is within a rounding of 127 / value, or less.
  alignas(16) float inverse[kUnits];
  _mm_store_ps(inverse, _mm_min_ps(_mm_div_ps(_mm_set1_ps(127.0f), value),
                                   _mm_set1_ps(3.402823466e38f)));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i bytes[2];
#pragma GCC unroll 2
  for (int pair = 0; pair < 2; ++pair) {
    __m512i words[2] = {};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int u = 2 * pair + i;
      if (u >= count) continue;
      const __m512 times = _mm512_set1_ps(inverse[u]);
      words[i] = _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(load(u, 0), times)),
                                    _mm512_cvtps_epi32(_mm512_mul_ps(load(u, 1), times)));
    }
    bytes[pair] = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(words[0], words[1]));
    Q* q = units.q + 2 * pair * units.q_step;
    if (2 * pair < count) StoreBytes(q, _mm512_castsi512_si256(bytes[pair]));
    if (2 * pair + 1 < count) {
      StoreBytes(q + units.q_step, _mm512_extracti64x4_epi64(bytes[pair], 1));
    }
  }
  // What is not finite is stored as zeros, for the scale to tell.
  const __mmask8 finite = _mm_cmplt_epi32_mask(bits, _mm_set1_epi32(0x7f800000));
  const __m128i start =
      _mm_maskz_mullo_epi32(finite, SumBytes(bytes), _mm_set1_epi32(factor));
  if (finite != 0xf) {
    for (int u = 0; u < count; ++u) {
      if ((finite >> u & 1) == 0) {
        std::memset(units.q + u * units.q_step, 0, kQuantizedBlock * sizeof(Q));
      }
    }
  }
  if (units.step == 1) {
    const auto first = static_cast<__mmask8>((1u << count) - 1);
    _mm_mask_storeu_ps(units.scale, first, scale);
    _mm_mask_storeu_epi32(units.start, first, start);
    return;
  }
  alignas(16) float scales[kUnits];
  alignas(16) int32_t starts[kUnits];
  _mm_store_ps(scales, scale);
  _mm_store_si128(reinterpret_cast<__m128i*>(starts), start);
  for (int u = 0; u < count; ++u) {
    units.scale[u * units.step] = scales[u];
    units.start[u * units.step] = starts[u];
  }
}

}  // namespace fastvlm::avx512

#endif  // FASTVLM_KERNELS_QUANTIZE_ROWS_AVX512_H_
