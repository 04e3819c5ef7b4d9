#include "kernels/layer_norm/layer_norm.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                        \
  namespace isa {                                                                   \
  void LayerNorm(const float* x, int64_t rows, int64_t channels, const float* gain, \
                 const float* bias, float eps, float* y);                           \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const LayerNormVariant> LayerNormVariants() {
  static constexpr LayerNormVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::LayerNorm},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::LayerNorm},
#endif
      {"scalar", Isa::kScalar, scalar::LayerNorm},
  };
  return kVariants;
}

const LayerNormVariant& BestLayerNorm() { return SelectVariant(LayerNormVariants()); }

}  // namespace fastvlm
