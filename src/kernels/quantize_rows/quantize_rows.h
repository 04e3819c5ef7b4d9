// Rows of f32 to 8-bit integers in blocks of 32 with a scale each: args.h has the formula.
// Source: the activations' side of a product with Q8_0 or Q4_0 weights, as GGML defines them.
//
// Bit-exact on every instruction set. A block with inf or NaN gets a scale that is inf or NaN, so
// that a product with it is not finite either.
#ifndef FASTVLM_KERNELS_QUANTIZE_ROWS_QUANTIZE_ROWS_H_
#define FASTVLM_KERNELS_QUANTIZE_ROWS_QUANTIZE_ROWS_H_

#include <span>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/quantize_rows/args.h"

namespace fastvlm {

struct QuantizeRowsVariant {
  std::string_view name;
  Isa isa;
  void (*to_int8)(const QuantizeRowsArgs& args);
  void (*to_int16)(const QuantizeRowsArgs& args);       // the same values
  void (*pairs_to_int8)(const QuantizeRowsArgs& args);  // null: no product of this ISA wants them
};

std::span<const QuantizeRowsVariant> QuantizeRowsVariants();  // best first
const QuantizeRowsVariant& BestQuantizeRows();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_QUANTIZE_ROWS_QUANTIZE_ROWS_H_
