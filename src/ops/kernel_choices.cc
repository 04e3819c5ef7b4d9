#include "ops/kernel_choices.h"

#include "base/check.h"
#include "base/cpu_features.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/gemm_q4/gemm_q4.h"
#include "kernels/gemm_q8/gemm_q8.h"
#include "kernels/kv_widen/kv_widen.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/silu_mul/silu_mul.h"
#include "kernels/squeeze_excite/squeeze_excite.h"
#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm {

std::vector<std::pair<std::string_view, std::string_view>> SelectedKernels() {
  std::vector<std::pair<std::string_view, std::string_view>> kernels = {
      {"attention_f32", BestAttentionF32().name},
      {"depthwise_f32", BestDepthwiseF32().name},
      {"gemm_f32", BestGemmF32().name},
      {"gemm_q4", BestGemmQ4().name},
      {"gemm_q8", BestGemmQ8().name},
      {"kv_widen", BestKvWiden().name},
      {"layer_norm", BestLayerNorm().name},
      {"quantize_rows", BestQuantizeRows().name},
      {"rms_norm", BestRmsNorm().name},
      {"rope", BestRope().name},
      {"silu_mul", BestSiluMul().name},
      {"squeeze_excite", BestSqueezeExcite().name},
      {"stem_conv_f32", BestStemConvF32().name}};
  const LinearProducts products = ChooseBf16Products();
  if (products == LinearProducts::kBf16) {
    kernels.insert(kernels.begin() + 2, {"gemm_bf16", BestGemmBf16().name});
  }
  if (products == LinearProducts::kF16) {
    kernels.insert(kernels.begin() + 2, {"gemm_f16", BestGemmF16().name});
  }
  return kernels;
}

LinearProducts ChooseBf16Products() {
  if (HasFastBf16Products() || EmulateBf16Products()) return LinearProducts::kBf16;
  // The scalar variant is the definition for tests, far slower than products of f32.
  return BestGemmF16().isa == Isa::kScalar ? LinearProducts::kF32 : LinearProducts::kF16;
}

QuantizedKernels ChooseQuantizedKernels(LinearFormat format) {
  FASTVLM_CHECK(IsQ8(format) || format == LinearFormat::kQ4);
  return {IsQ8(format) ? BestGemmQ8() : BestGemmQ4(), BestQuantizeRows()};
}

}  // namespace fastvlm
