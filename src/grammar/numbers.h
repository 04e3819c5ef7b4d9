// JSON numbers as regular languages, also those between two bounds.
#ifndef FASTVLM_GRAMMAR_NUMBERS_H_
#define FASTVLM_GRAMMAR_NUMBERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "grammar/characters.h"

namespace fastvlm::grammar {

// Digits that a number without bounds may have: every such integer is exact in a double.
inline constexpr int kMaxDigits = 15;

// low <= high.
Expression IntegerRange(int64_t low, int64_t high);

// Any number: up to 15 digits before and after the point, an exponent up to 99.
Expression AnyNumber();

// Numbers without exponent, with up to 15 digits before and after the point, that are not below
// `low` and not above `high`, and not equal to them where `open`. Bounds are decimals: digits with
// at most one point, "-" before. Absent: none.
struct DecimalBound {
  std::string digits;
  bool open = false;
};
Expression DecimalRange(const std::optional<DecimalBound>& low,
                        const std::optional<DecimalBound>& high);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_NUMBERS_H_
