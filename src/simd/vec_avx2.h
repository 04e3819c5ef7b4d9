// AVX2 + FMA + F16C: 8 floats. See simd.h.
#ifndef FASTVLM_SIMD_VEC_AVX2_H_
#define FASTVLM_SIMD_VEC_AVX2_H_

#include <immintrin.h>

#include "simd/simd.h"

#define FASTVLM_SIMD avx2

namespace fastvlm::avx2 {

struct F32 {
  __m256 v;
};
constexpr int kLanes = 8;

FASTVLM_INLINE F32 Zero() { return {_mm256_setzero_ps()}; }
FASTVLM_INLINE F32 Set(float x) { return {_mm256_set1_ps(x)}; }
FASTVLM_INLINE F32 Load(const float* p) { return {_mm256_loadu_ps(p)}; }
FASTVLM_INLINE void Store(float* p, F32 a) { _mm256_storeu_ps(p, a.v); }

FASTVLM_INLINE __m256i MaskOf(ptrdiff_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < kLanes ? n : kLanes)), lane);
}
FASTVLM_INLINE F32 LoadPartial(const float* p, ptrdiff_t n) {
  return {_mm256_maskload_ps(p, MaskOf(n))};
}
FASTVLM_INLINE void StorePartial(float* p, ptrdiff_t n, F32 a) {
  _mm256_maskstore_ps(p, MaskOf(n), a.v);
}

// {p[0], p[0], p[1], p[1], ...}, kLanes / 2 elements of p; Partial fills the first n lanes.
FASTVLM_INLINE F32 LoadPairs(const float* p) {
  const __m256i pairs = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  return {_mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), pairs)};
}
FASTVLM_INLINE F32 LoadPairsPartial(const float* p, ptrdiff_t n) {
  const __m256i pairs = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  return {_mm256_permutevar8x32_ps(LoadPartial(p, ((n < kLanes ? n : kLanes) + 1) / 2).v, pairs)};
}

// Eight bf16 values, widened exactly.
FASTVLM_INLINE F32 LoadBf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}

// Eight f16 values, widened exactly, and eight signed bytes.
FASTVLM_INLINE F32 LoadF16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
FASTVLM_INLINE F32 LoadInt8(const int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))};
}

FASTVLM_INLINE F32 Add(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Sub(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Mul(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Div(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 MulAdd(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
FASTVLM_INLINE F32 Sqrt(F32 a) { return {_mm256_sqrt_ps(a.v)}; }
FASTVLM_INLINE F32 Min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 RoundToNearest(F32 a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

// 2^n for integral n in [-127, 128]; -127 gives 0 and 128 infinity.
FASTVLM_INLINE F32 PowerOfTwo(F32 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
}

// The same for n + kPowerBias as an addition left it in the low bits of its sum, n in [-127, 127].
constexpr float kPowerBias = 0x1.8p23f + 127;
FASTVLM_INLINE F32 PowerOfTwoBiased(F32 sum) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(sum.v), 23))};
}

FASTVLM_INLINE float ReduceAdd(F32 a) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
FASTVLM_INLINE float ReduceMax(F32 a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

}  // namespace fastvlm::avx2

#endif  // FASTVLM_SIMD_VEC_AVX2_H_
