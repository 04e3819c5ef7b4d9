// Which variant of each kernel the ops use on this machine.
#ifndef FASTVLM_OPS_KERNEL_CHOICES_H_
#define FASTVLM_OPS_KERNEL_CHOICES_H_

#include <string_view>
#include <utility>
#include <vector>

namespace fastvlm {

// Kernel and variant names, in the order of src/kernels.
std::vector<std::pair<std::string_view, std::string_view>> SelectedKernels();

}  // namespace fastvlm

#endif  // FASTVLM_OPS_KERNEL_CHOICES_H_
