#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

using nlohmann::json;

// Counts values and nesting before anything is built: some of the JSON library's functions recurse.
Status CheckShape(std::string_view text, const std::string& path) {
  size_t values = 0;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (c == '[' || c == '{' || c == ',') ++values;
    if (depth > kMaxJsonDepth) {
      return Error(StatusCode::kResourceExhausted,
                   "{}: JSON nested deeper than the limit of {} (at byte {})", path, kMaxJsonDepth,
                   i);
    }
    if (values > kMaxJsonValues) {
      return Error(StatusCode::kResourceExhausted, "{}: more than the limit of {} JSON values",
                   path, kMaxJsonValues);
    }
  }
  return {};
}

}  // namespace

Result<json> ReadJsonObject(const std::string& path, size_t max_bytes) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, max_bytes));
  return ParseJsonObject(text, path);
}

Result<json> ParseJsonObject(std::string_view text, const std::string& path) {
  FASTVLM_RETURN_IF_ERROR(CheckShape(text, path));
  try {
    json value = json::parse(text);
    if (value.is_object()) return value;
    return Error(StatusCode::kDataError, "{}: expected a JSON object, found {} {}", path,
                 value.type_name(), Printable(text));
  } catch (const json::parse_error& error) {
    return Error(
        StatusCode::kDataError,
        "{}: not valid JSON at byte {} of {}; the file is damaged or cut off, fetch it again", path,
        error.byte, text.size());
  } catch (const json::exception& error) {
    return Error(StatusCode::kDataError, "{}: not valid JSON: {}", path, Printable(error.what()));
  }
}

const json* FindMember(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string JsonText(const json& value) {
  return Printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

const json* JsonFields::Find(const char* name) const { return FindMember(object_, name); }

std::string JsonFields::ValueText(const char* name) const {
  const json* value = Find(name);
  return value == nullptr ? "nothing" : JsonText(*value);
}

Status JsonFields::Wrong(const char* name, std::string_view expected) const {
  return Error(StatusCode::kDataError, "{}: {}{} must be {}, found {}", path_, prefix_, name,
               expected, ValueText(name));
}

Status JsonFields::Unsupported(const char* name, std::string_view supported) const {
  return Error(StatusCode::kUnsupported, "{}: {}{} is {}; only {} is supported", path_, prefix_,
               name, ValueText(name), supported);
}

Result<int64_t> JsonFields::Integer(const char* name, int64_t low, int64_t high) const {
  const json* value = Find(name);
  if (value != nullptr && value->is_number_integer()) {
    // Above the range of int64 the library stores an unsigned number.
    const bool fits = !value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX;
    if (fits && value->get<int64_t>() >= low && value->get<int64_t>() <= high) {
      return value->get<int64_t>();
    }
  }
  return Wrong(name, fmt::format("an integer from {} to {}", low, high));
}

Result<int64_t> JsonFields::IntegerOr(const char* name, int64_t low, int64_t high,
                                      int64_t absent) const {
  if (Find(name) == nullptr) return absent;
  return Integer(name, low, high);
}

Result<double> JsonFields::PositiveOr(const char* name, double absent) const {
  const json* value = Find(name);
  if (value == nullptr) return absent;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (std::isfinite(number) && number > 0) return number;
  }
  return Wrong(name, "a positive number");
}

Result<bool> JsonFields::BoolOr(const char* name, bool absent) const {
  const json* value = Find(name);
  if (value == nullptr) return absent;
  if (value->is_boolean()) return value->get<bool>();
  return Wrong(name, "true or false");
}

Result<std::string> JsonFields::StringOr(const char* name, std::string absent) const {
  const json* value = Find(name);
  if (value == nullptr) return absent;
  if (value->is_string()) return value->get<std::string>();
  return Wrong(name, "a string");
}

Result<std::optional<JsonFields>> JsonFields::Object(const char* name) const {
  const json* value = Find(name);
  if (value == nullptr) return std::optional<JsonFields>();
  if (value->is_object()) return std::optional(JsonFields(*value, path_, prefix_ + name + "."));
  return Wrong(name, "an object");
}

Status JsonFields::RequireString(const char* name, std::string_view supported,
                                 std::string_view absent) const {
  FASTVLM_ASSIGN_OR_RETURN(const std::string value, StringOr(name, std::string(absent)));
  return value == supported ? Status() : Unsupported(name, fmt::format("\"{}\"", supported));
}

Status JsonFields::RequireBool(const char* name, bool supported, bool absent) const {
  FASTVLM_ASSIGN_OR_RETURN(const bool value, BoolOr(name, absent));
  return value == supported ? Status() : Unsupported(name, supported ? "true" : "false");
}

}  // namespace fastvlm
