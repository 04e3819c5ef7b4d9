#include "server/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "base/field_range.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

// A conversation has a few values for each message; a schema may have a few thousand.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxValues = 100'000;
// The library looks for a key among all others of its object, so that many would take long.
constexpr size_t kMaxKeys = 1000;

struct TooComplex {};

// Throws TooComplex where a JSON text goes beyond the limits.
class LimitCheck {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json&) {
    if (depth > kMaxDepth || ++values_ > kMaxValues) throw TooComplex{};
    if (event == Json::parse_event_t::object_start) keys_.push_back(0);
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && ++keys_.back() > kMaxKeys) throw TooComplex{};
    return true;
  }

 private:
  size_t values_ = 0;
  std::vector<size_t> keys_;  // of the objects that are open
};

bool Says(const Json::parse_error& problem, std::string_view words) {
  return std::string_view(problem.what()).find(words) != std::string_view::npos;
}

// The four hexadecimal digits behind a backslash and u at `at`; -1 if there are none.
int EscapedUnit(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = -1;
  const char* first = text.data() + at + 2;
  const auto [end, error] = std::from_chars(first, first + 4, unit, 16);
  return error == std::errc() && end == first + 4 ? unit : -1;
}

bool IsHigh(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool IsLow(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

// `text` with U+FFFD for each escaped surrogate that has no other half.
std::string ReplaceLoneSurrogates(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t size = text[i] == '\\' ? std::min<size_t>(2, text.size() - i) : 1;
    const int unit = EscapedUnit(text, i);
    if (unit >= 0) size = 6;
    if (IsHigh(unit) && IsLow(EscapedUnit(text, i + 6))) size = 12;
    result += size == 6 && (IsHigh(unit) || IsLow(unit)) ? "\\ufffd" : text.substr(i, size);
    i += size;
  }
  return result;
}

bool Harmless(const Json& value) {
  return value.is_null() || value == false || value == 0 ||
         (value.is_structured() && value.empty()) || value == "";
}

}  // namespace

Json ParseRequestJson(std::string_view text, std::vector<std::string>* notes,
                      std::optional<ApiError>* error) {
  LimitCheck check;
  try {
    Json value = Json::parse(text, std::ref(check));
    if (value.is_object()) return value;
    *error =
        BadRequest("", fmt::format("The body must be a JSON object, found {}.", ShownValue(value)));
  } catch (const TooComplex&) {
    *error =
        BadRequest("", fmt::format("The body is nested deeper than {}, or has more than {} JSON "
                                   "values or {} keys in one object.",
                                   kMaxDepth, kMaxValues, kMaxKeys));
  } catch (const Json::parse_error& problem) {
    if (Says(problem, "invalid string: surrogate")) {
      const std::string whole = ReplaceLoneSurrogates(text);
      if (whole != text) {
        notes->push_back("half a surrogate pair was replaced by U+FFFD");
        return ParseRequestJson(whole, notes, error);
      }
    }
    *error =
        BadRequest("", fmt::format("The body is not valid JSON: {} at byte {} of {}.",
                                   Says(problem, "ill-formed UTF-8") ? "not UTF-8" : "it breaks",
                                   problem.byte, text.size()));
  } catch (const Json::exception& problem) {
    *error =
        BadRequest("", fmt::format("The body is not valid JSON: {}.", Printable(problem.what())));
  }
  return nullptr;
}

std::string ShownValue(const Json& value) {
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return value.dump();
}

const Json* RequestFields::Find(const char* name) {
  known_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void RequestFields::Number(const char* name, const FieldRange& range, float* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  const double number = found->is_number() ? found->get<double>() : std::nan("");
  if (range.Contains(number)) {
    *value = static_cast<float>(number);
  } else {
    Wrong(name, "a number " + RangeText(range), *found);
  }
}

bool RequestFields::Integer(const char* name, int64_t low, int64_t high, int64_t* value) {
  const Json* found = Find(name);
  if (found == nullptr) return false;
  // Above the range of int64 the library stores an unsigned number. 256.0 counts as 256.
  std::optional<int64_t> number;
  if (found->is_number_unsigned()) {
    if (found->get<uint64_t>() <= INT64_MAX) number = found->get<int64_t>();
  } else if (found->is_number_integer()) {
    number = found->get<int64_t>();
  } else if (found->is_number_float()) {
    const double real = found->get<double>();
    if (std::abs(real) < 9e15 && real == std::floor(real)) number = static_cast<int64_t>(real);
  }
  if (number.has_value() && *number >= low && *number <= high) {
    *value = *number;
    return true;
  }
  Wrong(name,
        high == INT64_MAX ? fmt::format("an integer of at least {}", low)
                          : fmt::format("an integer from {} to {}", low, high),
        *found);
  return false;
}

void RequestFields::Bool(const char* name, bool* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) return Wrong(name, "true or false", *found);
  *value = found->get<bool>();
}

void RequestFields::String(const char* name, std::string* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_string()) return Wrong(name, "a string", *found);
  *value = found->get<std::string>();
}

void RequestFields::Ignore(std::initializer_list<const char*> names) {
  for (const char* name : names) known_.insert(name);
}

void RequestFields::Refuse(const char* name, const Json& harmless) {
  const Json* found = Find(name);
  if (found == nullptr || Harmless(*found) || *found == harmless) return;
  ApiError error =
      BadRequest(Name(name), fmt::format("Unsupported parameter: '{}' is not supported by this "
                                         "server.",
                                         Name(name)));
  error.code = "unsupported_parameter";
  Fail(std::move(error));
}

void RequestFields::RefuseUnknown() {
  for (const auto& item : object_.items()) {
    if (known_.contains(item.key()) || Harmless(item.value())) continue;
    const std::string name = Printable(prefix_ + item.key());
    ApiError error =
        BadRequest(name, fmt::format("Unrecognized request argument supplied: {}", name));
    error.code = "unknown_parameter";
    return Fail(std::move(error));
  }
}

void RequestFields::Fail(ApiError error) {
  if (!error_.has_value()) error_ = std::move(error);
}

void RequestFields::Wrong(const char* name, std::string_view expected, const Json& found) {
  Fail(BadRequest(Name(name), fmt::format("Invalid value for '{}': expected {}, found {}.",
                                          Name(name), expected, ShownValue(found))));
}

}  // namespace fastvlm
