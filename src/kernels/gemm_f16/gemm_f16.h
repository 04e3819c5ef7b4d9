// f32 rows times packed bf16 weights by f16 multiply-adds, with f32 sums of short f16 ones, and
// what follows a linear layer: args.h and gemm_shared/output.h have the formula. Source:
// VFMADD231PH and VADDPH (Intel SDM volume 2): IEEE binary16, each result rounded once to the
// nearest value, subnormal ones included; MXCSR's flush bits have no influence on f16.
//
// A row of x is scaled by a power of two and rounded to f16, 11 bits; a column of the weights is
// scaled likewise (pack.h), which loses none of bf16's 8 bits. Then, in ascending order,
//   run = 32 multiply-adds in f16, from 0
//   span = the sum of four runs in f16: 128 products, which cannot overflow
//   sum   = start + span * x_factor * w_factor, with one f32 rounding for each span
// These are the same bits on every instruction set before the activation, and depend neither on the
// rows computed together nor on where a caller cuts the depth, if he cuts between spans (the sums
// so far being `start` of the next call).
//
// With h = 2^-11, X = max|x| of the row, W = max|w| of the column and k the depth, beside the error
// of the packed weights, the error before the activation is at most
//   k X W (h + 2^-26)             rounding x: h of each value
//   + (33/2 + 9/4) h k X W * 1.02   sums in f16: each step h of the sum so far
//   + (k / 128 + 2) 2^-24 (|start| + k X W)
//   + 2^-140 k max(1, X, W)       what underflows
// That counts on errors of the same sign; of random values the error is about 0.1 % of the results'
// root mean square (the test has it), half of what rounding x to bf16 costs.
// GELU adds an absolute error of 7e-5 + 4e-7 |argument| at most. A row with inf or NaN gives no
// finite result, nor does a column, nor a row and a column with X W above 2^127.
#ifndef FASTVLM_KERNELS_GEMM_F16_GEMM_F16_H_
#define FASTVLM_KERNELS_GEMM_F16_GEMM_F16_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/gemm_f16/args.h"

namespace fastvlm {

struct GemmF16Variant {
  std::string_view name;
  Isa isa;
  int64_t tile_m;  // rows of a tile of x
  int64_t tile_n;  // columns of a panel; two panels at a time are cheapest
  void (*fn)(const GemmF16Args& args);
  // The same bits on every instruction set, but for those of NaN and the order of tiles.
  void (*round)(const F16RowsArgs& args);
};

std::span<const GemmF16Variant> GemmF16Variants();  // best first
const GemmF16Variant& BestGemmF16();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F16_GEMM_F16_H_
