#include "simd/vec_avx2.h"

#include "kernels/peak/generic.h"

namespace fastvlm::avx2 {

// What kernels/gemm_q8 does, VPMADDWD of bytes widened before and VPADDD, on twelve sums. All of it
// in assembly: compilers take the product, always the same, out of the loop, or spill the sums.
#define FASTVLM_PAIR(sum) \
  "vpmaddwd %%ymm12, %%ymm12, %%ymm13\n\tvpaddd %%ymm13, %%ymm" sum ", %%ymm" sum "\n\t"
double PeakInt8(long iterations, float* sink) {
  for (long n = 0; n < iterations; ++n) {
    asm volatile(FASTVLM_PAIR("0") FASTVLM_PAIR("1") FASTVLM_PAIR("2") FASTVLM_PAIR("3")
                     FASTVLM_PAIR("4") FASTVLM_PAIR("5") FASTVLM_PAIR("6") FASTVLM_PAIR("7")
                         FASTVLM_PAIR("8") FASTVLM_PAIR("9") FASTVLM_PAIR("10") FASTVLM_PAIR("11")
                 :
                 :
                 : "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9",
                   "ymm10", "ymm11", "ymm13");
  }
  sink[0] = 0;
  return 2.0 * 12 * 16 * static_cast<double>(iterations);
}
#undef FASTVLM_PAIR

}  // namespace fastvlm::avx2
