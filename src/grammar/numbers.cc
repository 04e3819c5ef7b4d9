#include "grammar/numbers.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace fastvlm::grammar {
namespace {

Expression Digit(int low, int high) {
  return Set({{static_cast<char32_t>('0' + low), static_cast<char32_t>('0' + high)}});
}
Expression Digits(size_t min, size_t max) {
  return Repeat(Digit(0, 9), static_cast<int>(min), static_cast<int>(max));
}
Expression Nothing() { return Choice({}); }

constexpr size_t kMaxMultiples = 40'000;  // states of an automaton for multiples

// Strings of as many digits as `low` and `high` have. If low_tight is set they are not below `low`,
// and if high_tight is set not above `high`.
Expression DigitsBetween(std::string_view low, std::string_view high, bool low_tight,
                         bool high_tight) {
  const size_t count = low.size();
  if (count == 0) return Sequence({});
  if (!low_tight && !high_tight) return Digits(count, count);
  const int first = low_tight ? low[0] - '0' : 0;
  const int last = high_tight ? high[0] - '0' : 9;
  const auto rest = [&](bool still_low, bool still_high) {
    return DigitsBetween(low.substr(1), high.substr(1), still_low, still_high);
  };
  if (low_tight && high_tight && first == last) {
    return Sequence({Digit(first, first), rest(true, true)});
  }
  std::vector<Expression> choices;
  const int middle_first = first + (low_tight ? 1 : 0);
  const int middle_last = last - (high_tight ? 1 : 0);
  if (low_tight) choices.push_back(Sequence({Digit(first, first), rest(true, false)}));
  if (middle_first <= middle_last) {
    choices.push_back(Sequence({Digit(middle_first, middle_last), rest(false, false)}));
  }
  if (high_tight) choices.push_back(Sequence({Digit(last, last), rest(false, true)}));
  return Choice(std::move(choices));
}

Expression MagnitudeRange(uint64_t low, uint64_t high) {
  std::vector<Expression> choices;
  uint64_t shortest = 0;  // with this number of digits
  for (size_t count = 1; count <= 20 && shortest <= high; ++count) {
    const uint64_t longest = count >= 20 ? UINT64_MAX : (shortest == 0 ? 9 : shortest * 10 - 1);
    const uint64_t first = std::max(low, shortest);
    const uint64_t last = std::min(high, longest);
    if (first <= last) {
      choices.push_back(DigitsBetween(std::to_string(first), std::to_string(last), true, true));
    }
    if (longest == UINT64_MAX) break;
    shortest = longest + 1;
  }
  return Choice(std::move(choices));
}

// A decimal that is not negative.
struct Magnitude {
  uint64_t whole = 0;
  std::string fraction;  // without zeros at the end
  bool open = false;
};

Magnitude ParseMagnitude(const DecimalBound& bound) {
  std::string_view digits = bound.digits;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  const size_t point = digits.find('.');
  Magnitude magnitude;
  magnitude.open = bound.open;
  const std::string_view whole = digits.substr(0, point);
  std::from_chars(whole.data(), whole.data() + whole.size(), magnitude.whole);
  if (point != std::string_view::npos) magnitude.fraction = digits.substr(point + 1);
  while (magnitude.fraction.ends_with('0')) magnitude.fraction.pop_back();
  return magnitude;
}

bool IsZero(const Magnitude& magnitude) {
  return magnitude.whole == 0 && magnitude.fraction.empty();
}

// What may follow the digits before the point if these are equal to those of the low bound
// (low_tight), of the high bound (high_tight), or of both.
class Fraction {
 public:
  Fraction(const Magnitude& low, const Magnitude& high) : low_(low), high_(high) {
    length_ = std::max(low_.fraction.size(), high_.fraction.size());
    low_.fraction.resize(length_, '0');
    high_.fraction.resize(length_, '0');
  }

  Expression Build(bool low_tight, bool high_tight) const {
    std::vector<Expression> choices;
    if (MayEnd(0, low_tight, high_tight)) choices.push_back(Sequence({}));
    choices.push_back(Sequence({Text("."), After(0, low_tight, high_tight)}));
    return Choice(std::move(choices));
  }

 private:
  static constexpr size_t kMax = kMaxDigits;

  static bool OnlyZeros(std::string_view digits) {
    return digits.find_first_not_of('0') == std::string_view::npos;
  }

  // Whether the number may end after `i` digits that are equal to those of the tight bounds.
  bool MayEnd(size_t i, bool low_tight, bool high_tight) const {
    const bool low_zero = OnlyZeros(std::string_view(low_.fraction).substr(i));
    const bool high_zero = OnlyZeros(std::string_view(high_.fraction).substr(i));
    return (!low_tight || (low_zero && !low_.open)) && (!high_tight || !high_zero || !high_.open);
  }

  Expression After(size_t i, bool low_tight, bool high_tight) const {
    const size_t at_least = i == 0 ? 1 : 0;
    const size_t left = kMax - i;
    if (!low_tight && !high_tight) return Digits(at_least, left);
    if (i == length_) return AtEnd(at_least, left, low_tight, high_tight);
    const int first = low_tight ? low_.fraction[i] - '0' : 0;
    const int last = high_tight ? high_.fraction[i] - '0' : 9;
    std::vector<Expression> choices;
    if (i > 0 && MayEnd(i, low_tight, high_tight)) choices.push_back(Sequence({}));
    if (low_tight && high_tight && first == last) {
      choices.push_back(Sequence({Digit(first, first), After(i + 1, true, true)}));
      return Choice(std::move(choices));
    }
    if (first > last) return Choice(std::move(choices));
    const int middle_first = first + (low_tight ? 1 : 0);
    const int middle_last = last - (high_tight ? 1 : 0);
    if (low_tight) choices.push_back(Sequence({Digit(first, first), After(i + 1, true, false)}));
    if (middle_first <= middle_last) {
      choices.push_back(Sequence({Digit(middle_first, middle_last), Digits(0, left - 1)}));
    }
    if (high_tight) choices.push_back(Sequence({Digit(last, last), After(i + 1, false, true)}));
    return Choice(std::move(choices));
  }

  // What may follow after all digits of the tight bounds.
  Expression AtEnd(size_t at_least, size_t left, bool low_tight, bool high_tight) const {
    if ((high_tight && high_.open) || (high_tight && low_tight && low_.open)) return Nothing();
    if (left < at_least) return Nothing();
    const int zeros = static_cast<int>(left);
    if (high_tight) return Repeat(Digit(0, 0), static_cast<int>(at_least), zeros);
    if (!low_.open) return Digits(at_least, left);
    if (left == 0) return Nothing();
    return Sequence({Repeat(Digit(0, 0), 0, zeros - 1), Digit(1, 9), Digits(0, left - 1)});
  }

  Magnitude low_, high_;
  size_t length_;
};

Expression MagnitudeRange(const Magnitude& low, const Magnitude& high) {
  if (low.whole > high.whole) return Nothing();
  const Fraction fraction(low, high);
  const auto whole = [](uint64_t value) { return Text(std::to_string(value)); };
  if (low.whole == high.whole) return Sequence({whole(low.whole), fraction.Build(true, true)});
  std::vector<Expression> choices;
  choices.push_back(Sequence({whole(low.whole), fraction.Build(true, false)}));
  if (low.whole + 1 < high.whole) {
    choices.push_back(
        Sequence({MagnitudeRange(low.whole + 1, high.whole - 1), fraction.Build(false, false)}));
  }
  choices.push_back(Sequence({whole(high.whole), fraction.Build(false, true)}));
  return Choice(std::move(choices));
}

}  // namespace

Expression IntegerRange(int64_t low, int64_t high) {
  std::vector<Expression> choices;
  const auto magnitude = [](int64_t negative) { return ~static_cast<uint64_t>(negative) + 1; };
  if (low < 0) {
    const uint64_t nearest = high < 0 ? magnitude(high) : 1;
    choices.push_back(Sequence({Text("-"), MagnitudeRange(nearest, magnitude(low))}));
  }
  if (high >= 0) {
    choices.push_back(
        MagnitudeRange(low < 0 ? 0 : static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
  }
  return Choice(std::move(choices));
}

Expression AnyInteger() {
  return Choice(
      {Text("0"), Sequence({Optional(Text("-")), Digit(1, 9), Digits(0, size_t{kMaxDigits} - 1)})});
}

Expression AnyDecimal() {
  const Expression whole =
      Choice({Text("0"), Sequence({Digit(1, 9), Digits(0, size_t{kMaxDigits} - 1)})});
  return Sequence(
      {Optional(Text("-")), whole, Optional(Sequence({Text("."), Digits(1, size_t{kMaxDigits})}))});
}

Expression AnyNumber() {
  const Expression whole =
      Choice({Text("0"), Sequence({Digit(1, 9), Digits(0, size_t{kMaxDigits} - 1)})});
  const Expression exponent = Sequence(
      {Set({{'e', 'e'}, {'E', 'E'}}), Optional(Set({{'+', '+'}, {'-', '-'}})), Digits(1, 2)});
  return Sequence({Optional(Text("-")), whole,
                   Optional(Sequence({Text("."), Digits(1, size_t{kMaxDigits})})),
                   Optional(exponent)});
}

Expression DecimalRange(const std::optional<DecimalBound>& low,
                        const std::optional<DecimalBound>& high) {
  const DecimalBound largest = {
      std::string(size_t{kMaxDigits}, '9') + "." + std::string(size_t{kMaxDigits}, '9'), false};
  const auto negative = [](const DecimalBound& bound) {
    return bound.digits.starts_with('-') && !IsZero(ParseMagnitude(bound));
  };
  const Magnitude zero;
  std::vector<Expression> choices;
  if (!low || negative(*low)) {
    const bool below_zero = high && (negative(*high) || IsZero(ParseMagnitude(*high)));
    choices.push_back(Sequence({Text("-"), MagnitudeRange(below_zero ? ParseMagnitude(*high) : zero,
                                                          ParseMagnitude(low ? *low : largest))}));
  }
  if (!high || !negative(*high)) {
    const bool above_zero = low && !negative(*low);
    choices.push_back(MagnitudeRange(above_zero ? ParseMagnitude(*low) : zero,
                                     ParseMagnitude(high ? *high : largest)));
  }
  return Choice(std::move(choices));
}

Result<CharAutomaton> MultiplesOf(const CharAutomaton& numbers, const Divisor& divisor,
                                  Steps& steps) {
  // What has been read: the state of `numbers`, the digits so far modulo the divisor's, and how
  // many digits have come after the point; -1 before it.
  using Key = std::tuple<int, uint64_t, int>;
  std::map<Key, int> ids;
  std::vector<Key> order;
  CharAutomaton multiples;
  const auto state_of = [&](const Key& key) {
    const auto [entry, is_new] = ids.try_emplace(key, static_cast<int>(order.size()));
    if (is_new) order.push_back(key);
    return entry->second;
  };
  if (!numbers.states.empty()) state_of({0, 0, -1});
  for (size_t id = 0; id < order.size(); ++id) {
    if (order.size() > kMaxMultiples) {
      return Error(StatusCode::kInvalidArgument, "too many different remainders to follow");
    }
    const auto [state, rest, fraction] = order[id];
    const CharAutomaton::State& from = numbers.states[static_cast<size_t>(state)];
    CharAutomaton::State to;
    // The digits after the point that did not come are zeros.
    uint64_t whole = rest;
    for (int i = std::max(fraction, 0); i < divisor.fraction; ++i)
      whole = whole * 10 % divisor.digits;
    to.accepting = from.accepting && whole == 0;
    for (const CharAutomaton::Edge& edge : from.edges) {
      for (char32_t c = edge.range.low; c <= edge.range.high; ++c) {
        if (!steps.Take()) return steps.status();
        Key next = {edge.target, rest, fraction};
        if (c == '.') {
          if (divisor.fraction == 0) continue;
          std::get<2>(next) = 0;
        } else if (c >= '0' && c <= '9') {
          if (fraction >= divisor.fraction) continue;
          std::get<1>(next) = (rest * 10 + (c - '0')) % divisor.digits;
          if (fraction >= 0) ++std::get<2>(next);
        } else if (c != '-') {
          continue;
        }
        to.edges.push_back({{c, c}, state_of(next)});
      }
    }
    multiples.states.push_back(std::move(to));
  }
  return multiples;
}

}  // namespace fastvlm::grammar
