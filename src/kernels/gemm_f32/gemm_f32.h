// f32 matrix times packed weights, with what follows a linear layer: args.h and
// gemm_shared/output.h have the formula. Source: torch.nn.functional.linear, gelu and silu in f32.
//
// Weights are f32 or bf16; bf16 is widened, which is exact, and the arithmetic is f32 either way:
// the same weights give the same bits. Each sum runs over p in ascending order, one fused
// multiply-add after the other (scalar: a product and a sum), so a result depends neither on the
// rows computed with it nor on where a caller cuts the depth (the sums so far being `start` of the
// next call). Before the activation
//   |error| <= 2 (depth + 1) eps (|start| + depth max|x| max|w|), eps = 2^-24
// and inf and NaN arise as the formula has them. GELU adds an absolute error of 4e-7 |argument|.
#ifndef FASTVLM_KERNELS_GEMM_F32_GEMM_F32_H_
#define FASTVLM_KERNELS_GEMM_F32_GEMM_F32_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/gemm_f32/args.h"

namespace fastvlm {

struct GemmF32Variant {
  std::string_view name;
  Isa isa;
  int64_t tile_m;  // rows that are computed together: a multiple of it is cheapest
  int64_t tile_n;  // columns of a panel
  void (*f32)(const GemmF32Args& args);                           // weights are float
  void (*bf16)(const GemmF32Args& args);                          // weights are bf16, as uint16_t
  void (*widen)(const uint16_t* bf16, int64_t size, float* f32);  // size: a multiple of tile_n
};

std::span<const GemmF32Variant> GemmF32Variants();  // best first
const GemmF32Variant& BestGemmF32();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F32_GEMM_F32_H_
