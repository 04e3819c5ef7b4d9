#include "grammar/schema_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "grammar/numbers.h"

namespace fastvlm::grammar {
namespace {

constexpr int64_t kMaxInteger = 999'999'999'999'999;  // kMaxDigits nines

// The least integer that a lower bound allows (direction 1), or the greatest that an upper one
// allows (-1). `open`: the bound itself is not allowed.
Result<int64_t> IntegerBound(const Place& place, const char* name, bool open, int direction) {
  const Json& value = place.schema[name];
  const double approximate = value.get<double>();
  if (!(std::abs(approximate) < 9.2e18)) {
    return SchemaError(place.path, "\"{}\" is {}, beyond the integers of 64 bits", name,
                       value.dump());
  }
  int64_t bound;
  bool exact = true;
  if (value.is_number_integer()) {
    bound = value.get<int64_t>();
  } else {
    const double rounded = direction > 0 ? std::ceil(approximate) : std::floor(approximate);
    exact = rounded == approximate;
    bound = static_cast<int64_t>(rounded);
  }
  return open && exact ? bound + direction : bound;
}

// The value of a bound as a decimal number.
Result<DecimalBound> DecimalOf(const Place& place, const char* name, bool open) {
  const Json& value = place.schema[name];
  DecimalBound bound{
      value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump(), open};
  const size_t point = std::min(bound.digits.find('.'), bound.digits.size());
  const size_t sign = bound.digits.starts_with('-') ? 1 : 0;
  const size_t fraction = point < bound.digits.size() ? bound.digits.size() - point - 1 : 0;
  if (bound.digits.find_first_not_of("-.0123456789") != std::string::npos ||
      point - sign > kMaxDigits || fraction > kMaxDigits) {
    return SchemaError(place.path,
                       "\"{}\" is {}; bounds of numbers may have up to {} digits before and "
                       "after the point",
                       name, bound.digits, kMaxDigits);
  }
  return bound;
}

// The stricter one of "minimum" and "exclusiveMinimum", or of the maxima; nothing if there is
// neither.
Result<std::optional<DecimalBound>> StricterBound(const Place& place, const char* closed,
                                                  const char* open, bool low) {
  const Json* a = Member(place.schema, closed);
  const Json* b = Member(place.schema, open);
  if (a == nullptr && b == nullptr) return std::optional<DecimalBound>();
  const bool use_open =
      a == nullptr || (b != nullptr && (low ? b->get<double>() >= a->get<double>()
                                            : b->get<double>() <= a->get<double>()));
  FASTVLM_ASSIGN_OR_RETURN(DecimalBound bound,
                           DecimalOf(place, use_open ? open : closed, use_open));
  return std::optional(std::move(bound));
}

}  // namespace

Result<std::optional<Expression>> IntegersOf(const Place& place) {
  std::optional<int64_t> low, high;
  for (const auto& [name, open] :
       {std::pair("minimum", false), std::pair("exclusiveMinimum", true)}) {
    if (!place.schema.contains(name)) continue;
    FASTVLM_ASSIGN_OR_RETURN(const int64_t bound, IntegerBound(place, name, open, 1));
    low = std::max(low.value_or(bound), bound);
  }
  for (const auto& [name, open] :
       {std::pair("maximum", false), std::pair("exclusiveMaximum", true)}) {
    if (!place.schema.contains(name)) continue;
    FASTVLM_ASSIGN_OR_RETURN(const int64_t bound, IntegerBound(place, name, open, -1));
    high = std::min(high.value_or(bound), bound);
  }
  if (!low) low = high && *high < -kMaxInteger ? INT64_MIN + 1 : -kMaxInteger;
  if (!high) high = *low > kMaxInteger ? INT64_MAX : kMaxInteger;
  if (*low > *high) return std::optional<Expression>();
  return std::optional(IntegerRange(*low, *high));
}

Result<Expression> NumbersOf(const Place& place) {
  FASTVLM_ASSIGN_OR_RETURN(const auto low,
                           StricterBound(place, "minimum", "exclusiveMinimum", true));
  FASTVLM_ASSIGN_OR_RETURN(const auto high,
                           StricterBound(place, "maximum", "exclusiveMaximum", false));
  return low || high ? DecimalRange(low, high) : AnyNumber();
}

}  // namespace fastvlm::grammar
