#include "kernels/silu_mul/silu_mul.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                 \
  namespace isa {                                                            \
  void SiluMul(const float* gate, const float* up, int64_t count, float* y); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const SiluMulVariant> SiluMulVariants() {
  static constexpr SiluMulVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::SiluMul},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::SiluMul},
#endif
      {"scalar", Isa::kScalar, scalar::SiluMul},
  };
  return kVariants;
}

const SiluMulVariant& BestSiluMul() { return SelectVariant(SiluMulVariants()); }

}  // namespace fastvlm
