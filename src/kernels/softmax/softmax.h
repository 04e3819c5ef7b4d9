// Softmax of rows, in place.
//   y[i,j] = exp(scale x[i,j] - m) / sum_j exp(scale x[i,j] - m),  m = max_j scale x[i,j]
// Source: torch.nn.functional.softmax in f32.
#ifndef FASTVLM_KERNELS_SOFTMAX_SOFTMAX_H_
#define FASTVLM_KERNELS_SOFTMAX_SOFTMAX_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cpu_features.h"

namespace fastvlm {

// x: [rows, columns] f32, row i at x + i * stride, replaced by y. columns >= 1; elements between
// columns and stride are left alone. scale > 0. An element of -inf gives 0; a row with +inf or NaN,
// or with nothing but -inf, gives NaN throughout. |error| <= 1e-6 for each y.
using SoftmaxFn = void (*)(float* x, int64_t rows, int64_t columns, int64_t stride, float scale);

struct SoftmaxVariant {
  std::string_view name;
  Isa isa;
  SoftmaxFn fn;
};

std::span<const SoftmaxVariant> SoftmaxVariants();  // best first
const SoftmaxVariant& BestSoftmax();

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_SOFTMAX_SOFTMAX_H_
