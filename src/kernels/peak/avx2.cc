#include "simd/vec_avx2.h"

#include "kernels/peak/generic.h"

namespace fastvlm::avx2 {

// What kernels/gemm_q8 does: VPMADDWD of bytes that were widened before, and VPADDD, on twelve
// sums.
double PeakInt8(long iterations, float* sink) {
  constexpr int kSums = 12;
  __m256i sums[kSums];
#pragma GCC unroll 12
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_epi32(i);
  const __m256i a = _mm256_set1_epi16(static_cast<int16_t>(sink[0]));
  for (long n = 0; n < iterations; ++n) {
    // In assembly: compilers take the product, always the same, out of the loop. Unrolled: GCC 12
    // otherwise keeps the sums in memory.
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      __m256i product;
      asm volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0"
                   : "+x"(sums[i]), "=&x"(product)
                   : "x"(a));
    }
  }
  __m256i total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < kSums; ++i) total = _mm256_add_epi32(total, sums[i]);
  _mm256_storeu_ps(sink, _mm256_cvtepi32_ps(total));
  return 2.0 * kSums * 16 * static_cast<double>(iterations);
}

}  // namespace fastvlm::avx2
