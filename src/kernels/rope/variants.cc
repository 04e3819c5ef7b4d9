#include "kernels/rope/rope.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                         \
  namespace isa {                                                                    \
  void Rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim, \
            const float* table);                                                     \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const RopeVariant> RopeVariants() {
  static constexpr RopeVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::Rope},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::Rope},
#endif
      {"scalar", Isa::kScalar, scalar::Rope},
  };
  return kVariants;
}

const RopeVariant& BestRope() { return SelectVariant(RopeVariants()); }

}  // namespace fastvlm
