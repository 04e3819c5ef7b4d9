#include <immintrin.h>

namespace fastvlm::avx512 {

double PeakBf16(long iterations, float* sink) {
  constexpr int kSums = 24;
  __m512 sums[kSums];
#pragma GCC unroll 24
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_loadu_ps(sink);
  for (long n = 0; n < iterations; ++n) {
    // In assembly and unrolled: GCC 12 otherwise keeps the sums in memory.
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sums[i]) : "v"(a));
  }
  __m512 total = sums[0];
#pragma GCC unroll 24
  for (int i = 1; i < kSums; ++i) total = _mm512_add_ps(total, sums[i]);
  _mm512_storeu_ps(sink, total);
  return 2.0 * kSums * 32 * static_cast<double>(iterations);
}

}  // namespace fastvlm::avx512
