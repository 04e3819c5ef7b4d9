#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                         \
  namespace isa {                                    \
  void DepthwiseF32(const DepthwiseF32Block& block); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const DepthwiseF32Variant> DepthwiseF32Variants() {
  static constexpr DepthwiseF32Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::DepthwiseF32},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::DepthwiseF32},
#endif
      {"scalar", Isa::kScalar, scalar::DepthwiseF32},
  };
  return kVariants;
}

const DepthwiseF32Variant& BestDepthwiseF32() { return SelectVariant(DepthwiseF32Variants()); }

}  // namespace fastvlm
