#include "grammar/schema_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "grammar/network.h"
#include "grammar/numbers.h"

namespace fastvlm::grammar {
namespace {

constexpr uint64_t kMaxDivisor = 1000;
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

// The value of "multipleOf", which is there.
Result<Divisor> DivisorOf(const Place& place) {
  const Json& value = place.schema["multipleOf"];
  std::string text =
      value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
  int exponent = 0;
  if (const size_t e = text.find('e'); e != std::string::npos) {
    exponent = std::stoi(text.substr(e + 1));
    text.resize(e);
  }
  if (const size_t point = text.find('.'); point != std::string::npos) {
    exponent -= static_cast<int>(text.size() - point - 1);
    text.erase(point, 1);
  }
  for (; text.ends_with('0') && exponent < 0; ++exponent) text.pop_back();
  for (; exponent > 0 && text.size() < 19; --exponent) text += '0';
  uint64_t digits = 0;
  if (text.size() < 19) digits = std::stoull(text);
  if (digits == 0 || digits > kMaxDivisor || exponent < -kMaxDigits) {
    return SchemaError(place.path,
                       "\"multipleOf\" is {}; supported are divisors up to {}, and such integers "
                       "divided by a power of ten up to 10^{}",
                       value.dump(), kMaxDivisor, kMaxDigits);
  }
  return Divisor{digits, -exponent};
}

// The numbers of `expression`, and of those the multiples that the schema asks for.
Result<CharAutomaton> WithMultiples(Schemas& schemas, const Place& place,
                                    const Expression& expression) {
  Result<CharAutomaton> automaton = BuildAutomaton(expression, 0, kUnlimited, schemas.steps());
  if (automaton.ok() && place.schema.contains("multipleOf")) {
    FASTVLM_ASSIGN_OR_RETURN(const Divisor divisor, DivisorOf(place));
    automaton = MultiplesOf(*automaton, divisor, schemas.steps());
    FASTVLM_RETURN_IF_ERROR(schemas.CheckSteps(place.path));
    if (!automaton.ok()) {
      return SchemaError(place.path, "\"multipleOf\" is {}: {}", place.schema["multipleOf"].dump(),
                         automaton.status().message());
    }
  }
  FASTVLM_RETURN_IF_ERROR(schemas.CheckSteps(place.path));
  if (!automaton.ok()) return SchemaError(place.path, "{}", automaton.status().message());
  return automaton;
}

}  // namespace

Result<CharAutomaton> IntegersOf(Schemas& schemas, const Place& place) {
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
  if (!low && !high) return WithMultiples(schemas, place, AnyInteger());
  if (!low) low = high && *high < -kMaxInteger ? INT64_MIN + 1 : -kMaxInteger;
  if (!high) high = *low > kMaxInteger ? INT64_MAX : kMaxInteger;
  if (*low > *high) return CharAutomaton();
  return WithMultiples(schemas, place, IntegerRange(*low, *high));
}

Result<CharAutomaton> NumbersOf(Schemas& schemas, const Place& place) {
  FASTVLM_ASSIGN_OR_RETURN(const auto low,
                           StricterBound(place, "minimum", "exclusiveMinimum", true));
  FASTVLM_ASSIGN_OR_RETURN(const auto high,
                           StricterBound(place, "maximum", "exclusiveMaximum", false));
  if (low || high) return WithMultiples(schemas, place, DecimalRange(low, high));
  return WithMultiples(schemas, place,
                       place.schema.contains("multipleOf") ? AnyDecimal() : AnyNumber());
}

}  // namespace fastvlm::grammar
