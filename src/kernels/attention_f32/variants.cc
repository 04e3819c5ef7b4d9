#include "kernels/attention_f32/attention_f32.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                       \
  namespace isa {                                  \
  void AttentionF32(const AttentionF32Args& args); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const AttentionF32Variant> AttentionF32Variants() {
  static constexpr AttentionF32Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, 12, avx512::AttentionF32},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, 6, avx2::AttentionF32},
#endif
      {"scalar", Isa::kScalar, 6, scalar::AttentionF32},
  };
  return kVariants;
}

const AttentionF32Variant& BestAttentionF32() { return SelectVariant(AttentionF32Variants()); }

}  // namespace fastvlm
