// A plain validator for the JSON Schema keywords that constrained output supports, written from the
// specification (2020-12) and without any of the library's code, as an independent check.
#ifndef FASTVLM_TESTS_SUPPORT_SCHEMA_CHECKER_H_
#define FASTVLM_TESTS_SUPPORT_SCHEMA_CHECKER_H_

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

namespace fastvlm {

class SchemaChecker {
 public:
  using Json = nlohmann::json;

  explicit SchemaChecker(Json root) : root_(std::move(root)) {}

  // Why `value` does not follow the schema; empty if it does.
  std::string Check(const Json& value) const { return Check(root_, value); }

 private:
  static size_t CodePoints(const std::string& text) {
    size_t count = 0;
    for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return count;
  }

  // Code points of valid UTF-8.
  static std::wstring Wide(const std::string& text) {
    std::wstring wide;
    for (const char c : text) {
      const unsigned byte = static_cast<unsigned char>(c);
      if ((byte & 0xC0) == 0x80) {
        wide.back() = static_cast<wchar_t>((static_cast<unsigned>(wide.back()) << 6) | (byte & 63));
      } else {
        wide += static_cast<wchar_t>(byte < 0x80 ? byte
                                                 : byte & (byte < 0xE0   ? 31
                                                           : byte < 0xF0 ? 15
                                                                         : 7));
      }
    }
    return wide;
  }

  static bool IsType(const Json& value, const std::string& type) {
    if (type == "integer") {
      return value.is_number() && value.get<double>() == std::floor(value.get<double>());
    }
    if (type == "number") return value.is_number();
    return value.type_name() == type;
  }

  std::string Check(const Json& schema, const Json& value) const {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : "false allows nothing";
    for (const auto& [keyword, argument] : schema.items()) {
      const std::string problem = Keyword(keyword, argument, schema, value);
      if (!problem.empty()) return keyword + ": " + problem + " in " + value.dump();
    }
    return "";
  }

  std::string Keyword(const std::string& keyword, const Json& argument, const Json& schema,
                      const Json& value) const {
    if (keyword == "$ref") {
      return Check(root_.at(Json::json_pointer(argument.get<std::string>().substr(1))), value);
    }
    if (keyword == "type") {
      const Json types = argument.is_array() ? argument : Json::array({argument});
      for (const Json& type : types) {
        if (IsType(value, type)) return "";
      }
      return "is a " + std::string(value.type_name());
    }
    if (keyword == "const") return value == argument ? "" : "differs";
    if (keyword == "enum") {
      return std::find(argument.begin(), argument.end(), value) != argument.end() ? "" : "unlisted";
    }
    if (keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf") {
      size_t matches = 0;
      for (const Json& part : argument) matches += Check(part, value).empty();
      const bool ok = keyword == "anyOf"   ? matches > 0
                      : keyword == "oneOf" ? matches == 1
                                           : matches == argument.size();
      return ok ? "" : std::to_string(matches) + " matches";
    }
    if (value.is_object()) return ObjectKeyword(keyword, argument, schema, value);
    if (value.is_array()) return ArrayKeyword(keyword, argument, schema, value);
    if (value.is_string()) return StringKeyword(keyword, argument, value);
    if (value.is_number()) return NumberKeyword(keyword, argument, value);
    return "";
  }

  std::string ObjectKeyword(const std::string& keyword, const Json& argument, const Json& schema,
                            const Json& value) const {
    if (keyword == "required") {
      for (const Json& name : argument) {
        if (!value.contains(name.get<std::string>())) return name.dump() + " is missing";
      }
    }
    if (keyword == "minProperties") return value.size() >= argument ? "" : "too few";
    if (keyword == "maxProperties") return value.size() <= argument ? "" : "too many";
    for (const auto& [name, member] : value.items()) {
      const bool known = schema.contains("properties") && schema["properties"].contains(name);
      std::string problem;
      if (keyword == "propertyNames") problem = Check(argument, name);
      if (keyword == "properties" && known) problem = Check(argument.at(name), member);
      if (keyword == "additionalProperties" && !known) problem = Check(argument, member);
      if (!problem.empty()) return name + ": " + problem;
    }
    return "";
  }

  std::string ArrayKeyword(const std::string& keyword, const Json& argument, const Json& schema,
                           const Json& value) const {
    if (keyword == "minItems") return value.size() >= argument ? "" : "too few";
    if (keyword == "maxItems") return value.size() <= argument ? "" : "too many";
    if (keyword == "uniqueItems" && argument == true) {
      for (size_t i = 0; i < value.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (value[i] == value[j]) return "the same twice";
        }
      }
    }
    const size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
    for (size_t i = 0; i < value.size(); ++i) {
      std::string problem;
      if (keyword == "prefixItems" && i < prefix) problem = Check(argument[i], value[i]);
      if (keyword == "items" && i >= prefix) problem = Check(argument, value[i]);
      if (!problem.empty()) return std::to_string(i) + ": " + problem;
    }
    return "";
  }

  static std::string StringKeyword(const std::string& keyword, const Json& argument,
                                   const Json& value) {
    const std::string text = value;
    if (keyword == "minLength") return CodePoints(text) >= argument ? "" : "too short";
    if (keyword == "maxLength") return CodePoints(text) <= argument ? "" : "too long";
    if (keyword == "pattern") {
      return std::regex_search(Wide(text), std::wregex(Wide(argument))) ? "" : "no match";
    }
    return "";
  }

  static std::string NumberKeyword(const std::string& keyword, const Json& argument,
                                   const Json& value) {
    if (keyword == "minimum") return value >= argument ? "" : "too small";
    if (keyword == "maximum") return value <= argument ? "" : "too large";
    if (keyword == "exclusiveMinimum") return value > argument ? "" : "too small";
    if (keyword == "exclusiveMaximum") return value < argument ? "" : "too large";
    if (keyword == "multipleOf") {  // exact for divisors that are powers of two or integers
      return std::fmod(value.get<double>(), argument.get<double>()) == 0 ? "" : "not a multiple";
    }
    return "";
  }

  const Json root_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_SCHEMA_CHECKER_H_
