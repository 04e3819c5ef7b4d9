// A JSON schema as JSON: reading it, following "$ref", and joining "allOf".
#ifndef FASTVLM_GRAMMAR_SCHEMA_H_
#define FASTVLM_GRAMMAR_SCHEMA_H_

#include <cstddef>
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

// Member of an object, or nullptr; null counts as present.
const Json* Member(const Json& object, const char* name);

// kInvalidArgument if it is no JSON, no object or boolean, or beyond the limits on size, depth and
// number of values that keep the work small.
Result<Json> ParseSchema(std::string_view text);

class Schemas {
 public:
  explicit Schemas(Json root) : root_(std::move(root)) {}

  const Json& root() const { return root_; }

  // `place` without "$ref" and "allOf" at its top: what they say is joined with the rest. Checks
  // that the keywords are known and leaves out those that only describe.
  Result<Json> Flatten(const Place& place);

  // What both allow. Flattens them first.
  Result<Json> Join(const Place& a, const Place& b);

  // Whether no value can be of both, as far as can be seen; flat.
  Result<bool> Disjoint(const Place& a, const Place& b, int depth = 0);

  // Counts work, so that a small schema cannot ask for much of it.
  Status Spend(const std::string& path, size_t amount);

 private:
  Result<Place> Find(const std::string& reference, const std::string& path) const;
  Status CheckKeywords(const Place& place) const;
  Result<Json> JoinFlat(const Json& a, const Json& b, const std::string& path);

  const Json root_;
  size_t spent_ = 0;
  int depth_ = 0;
};

// The types a schema names, of "null", "boolean", "object", "array", "number", "integer", "string";
// all but "integer" if it names none.
Result<std::vector<std::string>> Types(const Place& place);

// Whether `value` is of `type`.
bool IsOfType(const Json& value, std::string_view type);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_H_
