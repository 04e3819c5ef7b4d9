#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                    \
  namespace isa {                               \
  void GemmF16(const GemmF16Args& args);        \
  void RoundRowsToF16(const F16RowsArgs& args); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

// Nothing between: without multiply-adds of f16 there is nothing to gain over kernels/gemm_f32.
std::span<const GemmF16Variant> GemmF16Variants() {
  static constexpr GemmF16Variant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512_FP16
      {"avx512_fp16", Isa::kAvx512Fp16, 12, 32, avx512::GemmF16, avx512::RoundRowsToF16},
#endif
      {"scalar", Isa::kScalar, 1, 16, scalar::GemmF16, scalar::RoundRowsToF16},
  };
  return kVariants;
}

const GemmF16Variant& BestGemmF16() { return SelectVariant(GemmF16Variants()); }

}  // namespace fastvlm
