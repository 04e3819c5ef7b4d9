#include "kernels/rms_norm/rms_norm.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                               \
  namespace isa {                                                                          \
  void RmsNorm(const float* x, int64_t rows, int64_t hidden, const float* gain, float eps, \
               float* y);                                                                  \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const RmsNormVariant> RmsNormVariants() {
  static constexpr RmsNormVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::RmsNorm},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::RmsNorm},
#endif
      {"scalar", Isa::kScalar, scalar::RmsNorm},
  };
  return kVariants;
}

const RmsNormVariant& BestRmsNorm() { return SelectVariant(RmsNormVariants()); }

}  // namespace fastvlm
