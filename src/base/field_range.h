// The range of an option's field (fastvlm/options.h), as messages say it.
#ifndef FASTVLM_BASE_FIELD_RANGE_H_
#define FASTVLM_BASE_FIELD_RANGE_H_

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>

#include "fastvlm/options.h"

namespace fastvlm {

// "from 0 to 100", "above 0, at most 1", "of at least 1": what follows "a number".
inline std::string RangeText(const FieldRange& range) {
  if (std::isinf(range.high)) return fmt::format("of at least {}", range.low);
  if (range.above_low) return fmt::format("above {}, at most {}", range.low, range.high);
  return fmt::format("from {} to {}", range.low, range.high);
}

// "top_p is 2, expected a number above 0, at most 1"
template <typename Value>
std::string OutOfRangeText(std::string_view name, const Value& value, const FieldRange& range) {
  return fmt::format("{} is {}, expected a number {}", name, value, RangeText(range));
}

}  // namespace fastvlm

#endif  // FASTVLM_BASE_FIELD_RANGE_H_
