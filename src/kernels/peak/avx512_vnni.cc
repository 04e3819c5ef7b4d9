#include <immintrin.h>

namespace fastvlm::avx512 {

double PeakInt8(long iterations, float* sink) {
  constexpr int kSums = 24;
  __m512i sums[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_epi32(i);
  const __m512i a = _mm512_set1_epi8(static_cast<char>(sink[0]));
  for (long n = 0; n < iterations; ++n) {
    // In assembly and unrolled: GCC 12 otherwise keeps the sums in memory.
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  __m512i total = sums[0];
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) total = _mm512_add_epi32(total, sums[i]);
  _mm512_storeu_ps(sink, _mm512_cvtepi32_ps(total));
  return 2.0 * kSums * 64 * static_cast<double>(iterations);
}

}  // namespace fastvlm::avx512
