// Which variant of each kernel the ops use on this machine, and which kernels a linear layer gets.
#ifndef FASTVLM_OPS_KERNEL_CHOICES_H_
#define FASTVLM_OPS_KERNEL_CHOICES_H_

#include <string_view>
#include <utility>
#include <vector>

#include "ops/linear_weights.h"

namespace fastvlm {

// Kernel and variant names, in the order of src/kernels.
std::vector<std::pair<std::string_view, std::string_view>> SelectedKernels();

// What layers of LinearFormat::kBf16 multiply on this machine: bf16 on a CPU that multiplies it
// faster than f32, or if FASTVLM_BF16_PRODUCTS (base/cpu_features.h) asks for it; else f16 on one
// with AVX512_FP16; else f32, because rounding x to bf16 would then lose and gain nothing.
LinearProducts ChooseBf16Products();

// format: kQ8, kQ8Pairs or kQ4.
QuantizedKernels ChooseQuantizedKernels(LinearFormat format);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_KERNEL_CHOICES_H_
