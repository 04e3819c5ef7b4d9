#include "kernels/gemm_q8/gemm_q8.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                  \
  namespace isa {                             \
  void GemmQ8(const GemmQuantizedArgs& args); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE
namespace avx512 {
void GemmQ8Pairs(const GemmQuantizedArgs& args);
}
namespace avx2 {
void GemmQ8Wide(const GemmQuantizedArgs& args);
void GemmQ8Widen(const uint8_t* weights, int64_t blocks, uint8_t* wide);
}  // namespace avx2

std::span<const GemmQuantizedVariant> GemmQ8Variants() {
  static constexpr GemmQuantizedVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512_VNNI
      {"avx512_vnni", Isa::kAvx512Vnni, 12, 32, 4, 128, 1, 34 * 32, avx512::GemmQ8, 0, nullptr,
       nullptr, avx512::GemmQ8Pairs},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, 6, 16, 2, 0, 2, 34 * 16, avx2::GemmQ8, 68 * 16, avx2::GemmQ8Widen,
       avx2::GemmQ8Wide},
#endif
      {"scalar", Isa::kScalar, 1, 16, 2, 0, 2, 34 * 16, scalar::GemmQ8, 0, nullptr, nullptr},
  };
  return kVariants;
}

const GemmQuantizedVariant& BestGemmQ8() { return SelectVariant(GemmQ8Variants()); }

}  // namespace fastvlm
