#include "ops/kernel_choices.h"

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
  // One of the two at most: used only where the CPU multiplies bf16, or f16, faster than f32.
  const GemmBf16Variant* bf16 = GemmBf16ForLinear();
  if (bf16 != nullptr) kernels.insert(kernels.begin() + 2, {"gemm_bf16", bf16->name});
  const GemmF16Variant* f16 = GemmF16ForLinear();
  if (f16 != nullptr) kernels.insert(kernels.begin() + 2, {"gemm_f16", f16->name});
  return kernels;
}

}  // namespace fastvlm
