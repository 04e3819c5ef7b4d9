#include "kernels/squeeze_excite/squeeze_excite.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                                       \
  namespace isa {                                                                                  \
  void ChannelMean(const float* x, int64_t pixels, int64_t channels, int64_t stride, float* mean); \
  void ExciteRows(const float* weight, const float* bias, const float* in, int64_t rows,           \
                  int64_t columns, SqueezeExciteActivation activation, float* out);                \
  void ScaleGelu(float* x, int64_t pixels, int64_t channels, int64_t stride, const float* scale);  \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const SqueezeExciteVariant> SqueezeExciteVariants() {
  static constexpr SqueezeExciteVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::ChannelMean, avx512::ExciteRows, avx512::ScaleGelu},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::ChannelMean, avx2::ExciteRows, avx2::ScaleGelu},
#endif
      {"scalar", Isa::kScalar, scalar::ChannelMean, scalar::ExciteRows, scalar::ScaleGelu},
  };
  return kVariants;
}

const SqueezeExciteVariant& BestSqueezeExcite() { return SelectVariant(SqueezeExciteVariants()); }

}  // namespace fastvlm
