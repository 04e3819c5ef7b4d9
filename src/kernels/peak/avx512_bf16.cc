#include <immintrin.h>

#include <cstring>

namespace fastvlm::avx512 {

double PeakBf16(long iterations, float* sink) {
  constexpr int kSums = 24;
  __m512 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512bh a;
  std::memcpy(&a, sink, sizeof(a));
  for (long n = 0; n < iterations; ++n) {
    for (int i = 0; i < kSums; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
  }
  __m512 total = sums[0];
  for (int i = 1; i < kSums; ++i) total = _mm512_add_ps(total, sums[i]);
  _mm512_storeu_ps(sink, total);
  return 2.0 * kSums * 32 * static_cast<double>(iterations);
}

}  // namespace fastvlm::avx512
