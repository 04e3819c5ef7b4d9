// JSON numbers as regular languages, also those between two bounds.
#ifndef FASTVLM_GRAMMAR_NUMBERS_H_
#define FASTVLM_GRAMMAR_NUMBERS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "grammar/characters.h"

namespace fastvlm::grammar {

// The most digits of a number without bounds. Every such integer is exact in a double.
inline constexpr int kMaxDigits = 15;

// The integers from low to high, both included; low <= high.
Expression IntegerRange(int64_t low, int64_t high);

// Any integer of up to 15 digits, and any number of up to as many before and after the point. They
// have no exponent.
Expression AnyInteger();
Expression AnyDecimal();

// Any number: up to 15 digits before and after the point, an exponent up to 99.
Expression AnyNumber();

struct DecimalBound {
  std::string digits;  // with at most one point, and "-" before them if it is negative
  bool open = false;   // the bound itself is not allowed
};
// Numbers without exponent between two bounds, each of which may be absent. They have up to 15
// digits before the point and as many after it.
Expression DecimalRange(const std::optional<DecimalBound>& low,
                        const std::optional<DecimalBound>& high);

// digits / 10^fraction, where digits is above 0.
struct Divisor {
  uint64_t digits;
  int fraction;
};
// Those numbers without exponent that `numbers` accepts and that are multiples of `divisor`, with
// at most as many digits after the point as the divisor. kInvalidArgument if the automaton would be
// too large or takes more than `steps`; kCancelled if they are stopped.
Result<CharAutomaton> MultiplesOf(const CharAutomaton& numbers, const Divisor& divisor,
                                  Steps& steps);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_NUMBERS_H_
