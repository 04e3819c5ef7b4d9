#include "kernels/gemm_q4/gemm_q4.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                  \
  namespace isa {                             \
  void GemmQ4(const GemmQuantizedArgs& args); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const GemmQuantizedVariant> GemmQ4Variants() {
  static constexpr GemmQuantizedVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512_VNNI
      {"avx512_vnni", Isa::kAvx512Vnni, 12, 32, 4, 8, 1, 18 * 32, avx512::GemmQ4, 0, nullptr,
       nullptr},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, 6, 16, 4, 8, 1, 18 * 16, avx2::GemmQ4, 0, nullptr, nullptr},
#endif
      {"scalar", Isa::kScalar, 1, 16, 4, 8, 1, 18 * 16, scalar::GemmQ4, 0, nullptr, nullptr},
  };
  return kVariants;
}

const GemmQuantizedVariant& BestGemmQ4() { return SelectVariant(GemmQ4Variants()); }

}  // namespace fastvlm
