#include "kernels/kv_widen/kv_widen.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                                                         \
  namespace isa {                                                                    \
  void WidenF16(const uint16_t* x, int64_t count, float* y);                         \
  void WidenInt8ByLane(const int8_t* x, const float* scale, int64_t rows, float* y); \
  void WidenInt8ByRow(const int8_t* x, const float* scale, int64_t rows, float* y);  \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE

#define FASTVLM_ROW(isa, level) \
  { #isa, level, isa::WidenF16, isa::WidenInt8ByLane, isa::WidenInt8ByRow }
std::span<const KvWidenVariant> KvWidenVariants() {
  static constexpr KvWidenVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      FASTVLM_ROW(avx512, Isa::kAvx512),
#endif
#ifdef FASTVLM_HAVE_AVX2
      FASTVLM_ROW(avx2, Isa::kAvx2),
#endif
      FASTVLM_ROW(scalar, Isa::kScalar),
  };
  return kVariants;
}
#undef FASTVLM_ROW

const KvWidenVariant& BestKvWiden() { return SelectVariant(KvWidenVariants()); }

}  // namespace fastvlm
