// A JSON schema as JSON: reading it and checking its keywords.
#ifndef FASTVLM_GRAMMAR_SCHEMA_JSON_H_
#define FASTVLM_GRAMMAR_SCHEMA_JSON_H_

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm::grammar {

// Members keep the order of the text: properties are written in it.
using Json = nlohmann::ordered_json;

// A schema and where it stands: "#/properties/name".
struct Place {
  Json schema;
  std::string path;
};

// kInvalidArgument with the place: "JSON schema: #/properties/a: ...".
template <typename... Args>
Status SchemaError(const std::string& path, fmt::format_string<Args...> format, Args&&... args) {
  return Error(StatusCode::kInvalidArgument, "JSON schema: {}: {}", path,
               fmt::format(format, std::forward<Args>(args)...));
}

// `name` as a step of a JSON pointer.
std::string PointerStep(std::string_view name);

// A member of an object, or nullptr if there is none. A member that is null is there.
const Json* Member(const Json& object, const char* name);

// kInvalidArgument if the text is not JSON, is neither an object nor true or false, or is beyond
// the limits on size, depth and number of values that keep the work small.
Result<Json> ParseSchema(std::string_view text);

// Whether a keyword, such as "title" or OpenAPI's "x-...", only describes and allows or forbids no
// value.
bool OnlyDescribes(std::string_view keyword);

// kInvalidArgument unless all keywords at this place are known and have values that they may have.
Status CheckKeywords(const Place& place);

// The types that a schema names, each one of "null", "boolean", "object", "array", "number",
// "integer", "string"; if it names none, all but "integer", which "number" includes.
Result<std::vector<std::string>> Types(const Place& place);

// How many characters, items or properties there may be.
struct Bounds {
  int min, max;  // max may be kUnlimited
};
// The bounds that two keywords give. A greatest count above `limit` becomes `limit`, and a least
// one above it is an error.
Result<Bounds> Counts(const Place& place, const char* min_name, const char* max_name, int limit);

// Whether `value` is of `type`.
bool IsOfType(const Json& value, std::string_view type);

// Whether a list of names holds this one.
template <typename List>
bool Contains(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_JSON_H_
