// bf16 matrix times packed bf16 weights with f32 sums, and what follows a linear layer: args.h and
// gemm_shared/output.h have the formula.
// Source: VDPBF16PS (Intel SDM volume 2): for each pair of the depth, in ascending order, the sum
// takes first the product of the pair's second values, then that of its first ones. A product of
// two bf16 values is exact in f32; each sum is rounded to the nearest f32. MXCSR has no influence,
// and values below 2^-126 count as zeros: operands, products and sums alike.
//
// CPUs and emulators are not alike in the last bit of a pair, so variants need not agree in it.
// With eps = 2^-24, before the activation and beside the zeros above,
//   |error| <= 2 (2 pairs + 1) eps (|start| + 2 pairs max|x| max|w|)
// against the exact sum of the bf16 values. A result depends neither on the rows computed with it
// nor on where a caller cuts the pairs (the sums so far being `start` of the next call). GELU adds
// an absolute error of 7e-5 + 4e-7 |argument| at most. inf and NaN arise as the formula has them.
#ifndef FASTVLM_KERNELS_GEMM_BF16_GEMM_BF16_H_
#define FASTVLM_KERNELS_GEMM_BF16_GEMM_BF16_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/gemm_bf16/args.h"

namespace fastvlm {

struct GemmBf16Variant {
  std::string_view name;
  Isa isa;
  int64_t tile_m;  // rows that are computed together: a multiple of it is cheapest
  int64_t tile_n;  // columns of a panel
  void (*fn)(const GemmBf16Args& args);
  // size values of x to the nearest bf16, ties to even, an odd size filled up with a zero; below
  // 2^-126 to zero of the same sign. The same bits on every instruction set, but for those of NaN.
  void (*round)(const float* x, int64_t size, uint16_t* bf16);
};

std::span<const GemmBf16Variant> GemmBf16Variants();  // best first
const GemmBf16Variant& BestGemmBf16();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_BF16_GEMM_BF16_H_
