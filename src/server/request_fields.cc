#include "server/request_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/field_range.h"
#include "base/json.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

using nlohmann::json;

// A conversation has a few values for each message; a schema may have a few thousand.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxValues = 100'000;

struct TooComplex {};

bool Harmless(const json& value) {
  return value.is_null() || value == false || value == 0 ||
         (value.is_structured() && value.empty()) || value == "";
}

}  // namespace

json ParseRequestJson(std::string_view text, std::optional<ApiError>* error) {
  size_t values = 0;
  const auto check = [&values](int depth, json::parse_event_t, const json&) {
    if (depth > kMaxDepth || ++values > kMaxValues) throw TooComplex{};
    return true;
  };
  try {
    json value = json::parse(text, check);
    if (value.is_object()) return value;
    *error =
        BadRequest("", fmt::format("The body must be a JSON object, found {}.", ShownValue(value)));
  } catch (const TooComplex&) {
    *error = BadRequest("", fmt::format("The body is nested deeper than {} or has more than {} "
                                        "JSON values.",
                                        kMaxDepth, kMaxValues));
  } catch (const json::parse_error& problem) {
    *error = BadRequest("", fmt::format("The body is not valid JSON: at byte {} of {}.",
                                        problem.byte, text.size()));
  } catch (const json::exception& problem) {
    *error =
        BadRequest("", fmt::format("The body is not valid JSON: {}.", Printable(problem.what())));
  }
  return nullptr;
}

std::string ShownValue(const json& value) {
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return value.dump();
}

const json* RequestFields::Find(const char* name) {
  known_.insert(name);
  return FindMember(object_, name);
}

void RequestFields::Number(const char* name, const FieldRange& range, float* value) {
  const json* found = Find(name);
  if (found == nullptr) return;
  const double number = found->is_number() ? found->get<double>() : std::nan("");
  if (range.Contains(number)) {
    *value = static_cast<float>(number);
  } else {
    Wrong(name, "a number " + RangeText(range), *found);
  }
}

bool RequestFields::Integer(const char* name, int64_t low, int64_t high, int64_t* value) {
  const json* found = Find(name);
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
  const json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) return Wrong(name, "true or false", *found);
  *value = found->get<bool>();
}

void RequestFields::String(const char* name, std::string* value) {
  const json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_string()) return Wrong(name, "a string", *found);
  *value = found->get<std::string>();
}

void RequestFields::Ignore(std::initializer_list<const char*> names) {
  for (const char* name : names) known_.insert(name);
}

void RequestFields::Refuse(const char* name, const json& harmless) {
  const json* found = Find(name);
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
    if (known_.contains(item.key())) continue;
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

void RequestFields::Wrong(const char* name, std::string_view expected, const json& found) {
  Fail(BadRequest(Name(name), fmt::format("Invalid value for '{}': expected {}, found {}.",
                                          Name(name), expected, ShownValue(found))));
}

}  // namespace fastvlm
