#include "kernels/softmax/softmax.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                          \
  namespace isa {                                                                     \
  void Softmax(float* x, int64_t rows, int64_t columns, int64_t stride, float scale); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

std::span<const SoftmaxVariant> SoftmaxVariants() {
  static constexpr SoftmaxVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::Softmax},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::Softmax},
#endif
      {"scalar", Isa::kScalar, scalar::Softmax},
  };
  return kVariants;
}

const SoftmaxVariant& BestSoftmax() { return SelectVariant(SoftmaxVariants()); }

}  // namespace fastvlm
