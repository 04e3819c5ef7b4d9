#include <immintrin.h>

namespace fastvlm::avx512 {

double PeakF16(long iterations, float* sink) {
  constexpr int kSums = 24;
  __m512h sums[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ph(static_cast<_Float16>(i));
  const __m512h a = _mm512_set1_ph(static_cast<_Float16>(sink[0]));
  for (long n = 0; n < iterations; ++n) {
    // In assembly and unrolled: GCC 12 otherwise keeps the sums in memory.
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) asm volatile("vfmadd231ph %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  __m512h total = sums[0];
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) total = _mm512_add_ph(total, sums[i]);
  const __m256i high = _mm512_extracti64x4_epi64(_mm512_castph_si512(total), 1);
  _mm512_storeu_ps(sink, _mm512_add_ps(_mm512_cvtxph_ps(_mm512_castph512_ph256(total)),
                                       _mm512_cvtxph_ps(_mm256_castsi256_ph(high))));
  return 2.0 * kSums * 32 * static_cast<double>(iterations);
}

}  // namespace fastvlm::avx512
