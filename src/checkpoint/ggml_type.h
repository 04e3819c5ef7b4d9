// The types that a tensor of a GGUF file may have.
// Source: enum ggml_type in GGML's ggml.h.
#ifndef FASTVLM_CHECKPOINT_GGML_TYPE_H_
#define FASTVLM_CHECKPOINT_GGML_TYPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/tensor.h"

namespace fastvlm {

// GGML's name of a type by its number; "type 99" if we know none of this number.
std::string GgmlTypeName(uint32_t type);

// Nothing for types that we cannot read.
std::optional<Dtype> DtypeOfGgml(uint32_t type);
uint32_t GgmlTypeOf(Dtype dtype);  // UINT32_MAX if GGML has none

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGML_TYPE_H_
