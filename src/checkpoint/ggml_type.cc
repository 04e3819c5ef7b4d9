#include "checkpoint/ggml_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace fastvlm {
namespace {

struct GgmlType {
  uint32_t number;
  const char* name;
  std::optional<Dtype> dtype;
};
constexpr GgmlType kReadTypes[] = {{0, "F32", Dtype::kF32},
                                   {1, "F16", Dtype::kF16},
                                   {2, "Q4_0", Dtype::kQ40},
                                   {3, "Q4_1", Dtype::kQ41},
                                   {6, "Q5_0", Dtype::kQ50},
                                   {7, "Q5_1", Dtype::kQ51},
                                   {8, "Q8_0", Dtype::kQ80},
                                   {9, "Q8_1", {}},
                                   {10, "Q2_K", {}},
                                   {11, "Q3_K", {}},
                                   {12, "Q4_K", Dtype::kQ4K},
                                   {13, "Q5_K", Dtype::kQ5K},
                                   {14, "Q6_K", Dtype::kQ6K},
                                   {15, "Q8_K", {}},
                                   {16, "IQ2_XXS", {}},
                                   {17, "IQ2_XS", {}},
                                   {18, "IQ3_XXS", {}},
                                   {19, "IQ1_S", {}},
                                   {20, "IQ4_NL", {}},
                                   {21, "IQ3_S", {}},
                                   {22, "IQ2_S", {}},
                                   {23, "IQ4_XS", {}},
                                   {24, "I8", {}},
                                   {25, "I16", {}},
                                   {26, "I32", {}},
                                   {27, "I64", Dtype::kI64},
                                   {28, "F64", {}},
                                   {29, "IQ1_M", {}},
                                   {30, "BF16", Dtype::kBf16},
                                   {34, "TQ1_0", {}},
                                   {35, "TQ2_0", {}},
                                   {39, "MXFP4", {}}};

const GgmlType* FindType(uint32_t number) {
  const auto* found = std::find_if(std::begin(kReadTypes), std::end(kReadTypes),
                                   [number](const GgmlType& t) { return t.number == number; });
  return found == std::end(kReadTypes) ? nullptr : found;
}

}  // namespace

std::string GgmlTypeName(uint32_t type) {
  const GgmlType* known = FindType(type);
  return known == nullptr ? fmt::format("type {}", type) : known->name;
}

std::optional<Dtype> DtypeOfGgml(uint32_t type) {
  const GgmlType* known = FindType(type);
  return known == nullptr ? std::nullopt : known->dtype;
}

uint32_t GgmlTypeOf(Dtype dtype) {
  for (const GgmlType& type : kReadTypes) {
    if (type.dtype == dtype) return type.number;
  }
  return UINT32_MAX;
}

}  // namespace fastvlm
