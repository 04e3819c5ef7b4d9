// AVX-512 F + BW + DQ + VL: 16 floats. See simd.h.
#ifndef FASTVLM_SIMD_VEC_AVX512_H_
#define FASTVLM_SIMD_VEC_AVX512_H_

#include <immintrin.h>

#include "simd/simd.h"

#define FASTVLM_SIMD avx512

namespace fastvlm::avx512 {

struct F32 {
  __m512 v;
};
constexpr int kLanes = 16;

FASTVLM_INLINE F32 Zero() { return {_mm512_setzero_ps()}; }
FASTVLM_INLINE F32 Set(float x) { return {_mm512_set1_ps(x)}; }
FASTVLM_INLINE F32 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
FASTVLM_INLINE void Store(float* p, F32 a) { _mm512_storeu_ps(p, a.v); }

FASTVLM_INLINE __mmask16 MaskOf(ptrdiff_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xffffu : (1u << n) - 1u);
}
FASTVLM_INLINE F32 LoadPartial(const float* p, ptrdiff_t n) {
  return {_mm512_maskz_loadu_ps(MaskOf(n), p)};
}
FASTVLM_INLINE void StorePartial(float* p, ptrdiff_t n, F32 a) {
  _mm512_mask_storeu_ps(p, MaskOf(n), a.v);
}

// {p[0], p[0], p[1], p[1], ...}, kLanes / 2 elements of p; Partial fills the first n lanes.
FASTVLM_INLINE F32 LoadPairs(const float* p) {
  const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return {_mm512_permutexvar_ps(pairs, _mm512_castps256_ps512(_mm256_loadu_ps(p)))};
}
FASTVLM_INLINE F32 LoadPairsPartial(const float* p, ptrdiff_t n) {
  const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const ptrdiff_t elements = ((n < kLanes ? n : kLanes) + 1) / 2;
  return {_mm512_permutexvar_ps(pairs, LoadPartial(p, elements).v)};
}

// Sixteen bf16 values, widened exactly.
FASTVLM_INLINE F32 LoadBf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}

// Sixteen f16 values, widened exactly, and sixteen signed bytes.
FASTVLM_INLINE F32 LoadF16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
FASTVLM_INLINE F32 LoadInt8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}

FASTVLM_INLINE F32 Add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 MulAdd(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
FASTVLM_INLINE F32 Sqrt(F32 a) { return {_mm512_sqrt_ps(a.v)}; }
FASTVLM_INLINE F32 Min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 Max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
FASTVLM_INLINE F32 RoundToNearest(F32 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

// 2^n for integral n in [-127, 128]; -127 gives 0 and 128 infinity.
FASTVLM_INLINE F32 PowerOfTwo(F32 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}

// The same for n + kPowerBias as an addition left it in the low bits of its sum, n in [-127, 127].
constexpr float kPowerBias = 0x1.8p23f + 127;
FASTVLM_INLINE F32 PowerOfTwoBiased(F32 sum) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(sum.v), 23))};
}

FASTVLM_INLINE float ReduceAdd(F32 a) { return _mm512_reduce_add_ps(a.v); }
FASTVLM_INLINE float ReduceMax(F32 a) { return _mm512_reduce_max_ps(a.v); }

}  // namespace fastvlm::avx512

#endif  // FASTVLM_SIMD_VEC_AVX512_H_
