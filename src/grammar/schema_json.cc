#include "grammar/schema_json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

#include "base/json.h"
#include "base/printable.h"
#include "grammar/network.h"

namespace fastvlm::grammar {
namespace {

constexpr size_t kMaxSchemaText = size_t{256} << 10;
constexpr size_t kMaxSchemaValues = 10'000;
constexpr int kMaxSchemaDepth = 64;

constexpr std::string_view kAnnotations[] = {
    "title",     "description",     "default",          "examples",
    "example",   "$comment",        "$schema",          "$id",
    "$defs",     "definitions",     "deprecated",       "readOnly",
    "writeOnly", "discriminator",   "externalDocs",     "xml",
    "id",        "contentEncoding", "contentMediaType", "contentSchema"};
constexpr std::string_view kKeywords[] = {"$ref",
                                          "allOf",
                                          "anyOf",
                                          "oneOf",
                                          "type",
                                          "enum",
                                          "const",
                                          "properties",
                                          "required",
                                          "additionalProperties",
                                          "items",
                                          "prefixItems",
                                          "minItems",
                                          "maxItems",
                                          "minLength",
                                          "maxLength",
                                          "pattern",
                                          "format",
                                          "minimum",
                                          "maximum",
                                          "exclusiveMinimum",
                                          "exclusiveMaximum",
                                          "uniqueItems",
                                          "multipleOf",
                                          "propertyNames",
                                          "minProperties",
                                          "maxProperties",
                                          "nullable"};
constexpr std::string_view kTypes[] = {"null",   "boolean", "object", "array",
                                       "number", "string",  "integer"};

// What the value of this keyword must be, in words, or nullptr if the value is right.
const char* WrongValue(std::string_view name, const Json& value) {
  const auto all = [&](auto&& is) { return std::all_of(value.begin(), value.end(), is); };
  if (name == "properties") return value.is_object() ? nullptr : "an object of schemas";
  if (name == "enum") return value.is_array() ? nullptr : "a list of values";
  if (name == "anyOf" || name == "oneOf" || name == "allOf" || name == "prefixItems") {
    return value.is_array() && !value.empty() ? nullptr : "a list of schemas";
  }
  if (name == "required") {
    const bool ok = value.is_array() && all([](const Json& item) { return item.is_string(); });
    return ok ? nullptr : "a list of names";
  }
  if (name == "uniqueItems" || name == "nullable") {
    return value.is_boolean() ? nullptr : "true or false";
  }
  if (name == "multipleOf") {
    return value.is_number() && value > 0 ? nullptr : "a number above 0";
  }
  if (name == "minItems" || name == "maxItems" || name == "minLength" || name == "maxLength" ||
      name == "minProperties" || name == "maxProperties") {
    const bool ok = IsOfType(value, "integer") && value >= 0;
    return ok ? nullptr : "an integer that is not negative";
  }
  if (name == "minimum" || name == "maximum" || name == "exclusiveMinimum" ||
      name == "exclusiveMaximum") {
    return value.is_number() ? nullptr : "a number";
  }
  if (name == "pattern" || name == "format" || name == "$ref") {
    return value.is_string() ? nullptr : "a string";
  }
  return nullptr;
}

// Checks the limits before the text is parsed, because the JSON library is slow with huge objects.
Status CheckSize(std::string_view text) {
  if (text.size() > kMaxSchemaText) {
    return SchemaError("#", "{} bytes, more than the limit of {}", text.size(), kMaxSchemaText);
  }
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
    if (depth > kMaxSchemaDepth) {
      return SchemaError("#", "nested deeper than the limit of {} (at byte {})", kMaxSchemaDepth,
                         i);
    }
    if (values > kMaxSchemaValues) {
      return SchemaError("#", "more than the limit of {} JSON values", kMaxSchemaValues);
    }
  }
  return {};
}

}  // namespace

std::string PointerStep(std::string_view name) {
  std::string step = "/";
  for (const char c : name) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return Printable(step);
}

const Json* Member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

Result<Json> ParseSchema(std::string_view text) {
  FASTVLM_RETURN_IF_ERROR(CheckSize(text));
  try {
    Json schema = Json::parse(text);
    if (schema.is_object() || schema.is_boolean()) return schema;
    return SchemaError("#", "expected an object, true or false, found {}", Printable(text));
  } catch (const Json::parse_error& error) {
    return SchemaError("#", "not valid JSON at byte {} of {}", error.byte, text.size());
  } catch (const Json::exception& error) {
    return SchemaError("#", "not valid JSON: {}", Printable(error.what()));
  }
}

bool OnlyDescribes(std::string_view keyword) {
  return Contains(kAnnotations, keyword) || keyword.starts_with("x-");
}

Status CheckKeywords(const Place& place) {
  if (place.schema.is_boolean()) return {};
  if (!place.schema.is_object()) {
    return SchemaError(place.path, "expected a schema (an object, true or false), found {}",
                       fastvlm::JsonText(nlohmann::json(place.schema)));
  }
  for (const auto& [name, value] : place.schema.items()) {
    if (OnlyDescribes(name) || Contains(kKeywords, name)) {
      if (name == "$id" && place.path != "#") {
        return SchemaError(place.path, "keyword \"$id\" is supported only at the top");
      }
      if (const char* expected = WrongValue(name, value)) {
        return SchemaError(place.path, "{} must be {}, found {}", Quoted(name), expected,
                           fastvlm::JsonText(nlohmann::json(value)));
      }
      continue;
    }
    return SchemaError(place.path, "keyword {} is not supported", Quoted(name));
  }
  return {};
}

Result<std::vector<std::string>> Types(const Place& place) {
  const Json* named = Member(place.schema, "type");
  if (named == nullptr) return std::vector<std::string>(std::begin(kTypes), std::end(kTypes) - 1);
  const Json list = named->is_array() ? *named : Json::array({*named});
  std::vector<std::string> types;
  for (const Json& type : list) {
    if (!type.is_string() || !Contains(kTypes, type.get<std::string>())) {
      return SchemaError(place.path, "\"type\" is {}, expected a JSON type or a list of them",
                         fastvlm::JsonText(nlohmann::json(*named)));
    }
    if (!Contains(types, type.get<std::string>())) types.push_back(type);
  }
  return types;
}

Result<Bounds> Counts(const Place& place, const char* min_name, const char* max_name, int limit) {
  const auto count = [&](const char* name, int64_t absent) {
    const Json* value = Member(place.schema, name);
    if (value == nullptr) return absent;
    if (value->is_number_float()) {
      return static_cast<int64_t>(std::min(value->get<double>(), 1e15));
    }
    return static_cast<int64_t>(std::min<uint64_t>(value->get<uint64_t>(), 1u << 30));
  };
  const int64_t min = count(min_name, 0);
  const int64_t max = count(max_name, kUnlimited);
  if (min > limit) {
    return SchemaError(place.path, "\"{}\" is {}, more than the limit of {}", min_name, min, limit);
  }
  return Bounds{static_cast<int>(min), place.schema.contains(max_name)
                                           ? static_cast<int>(std::min<int64_t>(max, limit))
                                           : kUnlimited};
}

bool IsOfType(const Json& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  return value.is_number_integer() ||
         (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
}

}  // namespace fastvlm::grammar
