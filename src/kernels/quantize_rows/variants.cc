#include "kernels/quantize_rows/quantize_rows.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                          \
  namespace isa {                                     \
  void QuantizeToInt8(const QuantizeRowsArgs& args);  \
  void QuantizeToInt16(const QuantizeRowsArgs& args); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE
namespace scalar {
void QuantizePairsToInt8(const QuantizeRowsArgs& args);
}
namespace avx512 {
void QuantizePairsToInt8(const QuantizeRowsArgs& args);
}

std::span<const QuantizeRowsVariant> QuantizeRowsVariants() {
  static constexpr QuantizeRowsVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::QuantizeToInt8, avx512::QuantizeToInt16,
       avx512::QuantizePairsToInt8},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::QuantizeToInt8, avx2::QuantizeToInt16, nullptr},
#endif
      {"scalar", Isa::kScalar, scalar::QuantizeToInt8, scalar::QuantizeToInt16,
       scalar::QuantizePairsToInt8},
  };
  return kVariants;
}

const QuantizeRowsVariant& BestQuantizeRows() { return SelectVariant(QuantizeRowsVariants()); }

}  // namespace fastvlm
