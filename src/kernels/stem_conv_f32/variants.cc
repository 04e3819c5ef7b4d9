#include "kernels/stem_conv_f32/stem_conv_f32.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                       \
  namespace isa {                                  \
  void StemConvF32(const StemConvF32Block& block); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const StemConvF32Variant> StemConvF32Variants() {
  static constexpr StemConvF32Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::StemConvF32},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::StemConvF32},
#endif
      {"scalar", Isa::kScalar, scalar::StemConvF32},
  };
  return kVariants;
}

const StemConvF32Variant& BestStemConvF32() { return SelectVariant(StemConvF32Variants()); }

}  // namespace fastvlm
