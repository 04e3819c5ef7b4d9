#include "kernels/peak/peak.h"
#include "kernels/variant.h"

namespace fastvlm {

#define FASTVLM_DECLARE(isa)                      \
  namespace isa {                                 \
  double PeakF32(long iterations, float* sink);   \
  double PeakInt8(long iterations, float* sink);  \
  float PeakRead(const float* data, size_t size); \
  }
FASTVLM_DECLARE(scalar)
FASTVLM_DECLARE(avx2)
FASTVLM_DECLARE(avx512)
#undef FASTVLM_DECLARE
namespace avx512 {
double PeakBf16(long iterations, float* sink);
double PeakF16(long iterations, float* sink);
}  // namespace avx512

std::span<const PeakVariant> PeakVariants() {
  static constexpr PeakVariant kVariants[] = {
#ifdef FASTVLM_HAVE_AVX512_FP16
      {"avx512_fp16", Isa::kAvx512Fp16, avx512::PeakF32, avx512::PeakInt8, avx512::PeakBf16,
       avx512::PeakF16, avx512::PeakRead},
#endif
#ifdef FASTVLM_HAVE_AVX512_BF16
      {"avx512_bf16", Isa::kAvx512Bf16, avx512::PeakF32, avx512::PeakInt8, avx512::PeakBf16,
       nullptr, avx512::PeakRead},
#endif
#ifdef FASTVLM_HAVE_AVX512_VNNI
      {"avx512_vnni", Isa::kAvx512Vnni, avx512::PeakF32, avx512::PeakInt8, nullptr, nullptr,
       avx512::PeakRead},
#endif
#ifdef FASTVLM_HAVE_AVX512
      {"avx512", Isa::kAvx512, avx512::PeakF32, avx2::PeakInt8, nullptr, nullptr, avx512::PeakRead},
#endif
#ifdef FASTVLM_HAVE_AVX2
      {"avx2", Isa::kAvx2, avx2::PeakF32, avx2::PeakInt8, nullptr, nullptr, avx2::PeakRead},
#endif
      {"scalar", Isa::kScalar, scalar::PeakF32, scalar::PeakInt8, nullptr, nullptr,
       scalar::PeakRead},
  };
  return kVariants;
}

const PeakVariant& BestPeak() { return SelectVariant(PeakVariants()); }

}  // namespace fastvlm
