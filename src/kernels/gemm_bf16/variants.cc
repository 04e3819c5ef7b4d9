#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                      \
  namespace isa {                                                 \
  void GemmBf16(const GemmBf16Args& args);                        \
  void RoundToBf16(const float* x, int64_t size, uint16_t* bf16); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

// No avx2: there kernels/gemm_f32 widens the weights, and x loses nothing.
std::span<const GemmBf16Variant> GemmBf16Variants() {
  static constexpr GemmBf16Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512_BF16
      {"avx512_bf16", Isa::kAvx512Bf16, 12, 32, avx512::GemmBf16, avx512::RoundToBf16},
#endif
      {"scalar", Isa::kScalar, 1, 16, scalar::GemmBf16, scalar::RoundToBf16},
  };
  return kVariants;
}

const GemmBf16Variant& BestGemmBf16() { return SelectVariant(GemmBf16Variants()); }

}  // namespace fastvlm
