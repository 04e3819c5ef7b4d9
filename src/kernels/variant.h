// What every kernel's Variant table has in common.
#ifndef FASTVLM_KERNELS_VARIANT_H_
#define FASTVLM_KERNELS_VARIANT_H_

#include <span>

#include "base/check.h"
#include "base/cpu_features.h"

namespace fastvlm {

// The first variant of a table, best first, that FASTVLM_ISA and this CPU allow. Every table ends
// with a scalar variant, which always runs.
template <typename Variant>
const Variant& SelectVariant(std::span<const Variant> variants) {
  const Isa max_isa = MaxIsa();
  for (const Variant& variant : variants) {
    if (variant.isa <= max_isa) return variant;
  }
  CheckFailed(__FILE__, __LINE__, "a kernel's table ends with a scalar variant");
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_VARIANT_H_
