#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                         \
  namespace isa {                                                    \
  void GemmF32(const GemmF32Args& args);                             \
  void GemmF32Bf16(const GemmF32Args& args);                         \
  void GemmF32Widen(const uint16_t* bf16, int64_t size, float* f32); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const GemmF32Variant> GemmF32Variants() {
  static constexpr GemmF32Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, 12, 32, avx512::GemmF32, avx512::GemmF32Bf16, avx512::GemmF32Widen},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, 6, 16, avx2::GemmF32, avx2::GemmF32Bf16, avx2::GemmF32Widen},
#endif
      {"scalar", Isa::kScalar, 1, 16, scalar::GemmF32, scalar::GemmF32Bf16, scalar::GemmF32Widen},
  };
  return kVariants;
}

const GemmF32Variant& BestGemmF32() { return SelectVariant(GemmF32Variants()); }

}  // namespace fastvlm
