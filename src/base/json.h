// JSON files, bounded in size, depth and number of values, and read without exceptions. Who touches
// a value includes <nlohmann/json.hpp>, which takes seconds to compile; most callers need not.
#ifndef FASTVLM_BASE_JSON_H_
#define FASTVLM_BASE_JSON_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace fastvlm {

// Limits that keep a file from exhausting the stack or memory; Qwen's tokenizer.json has 0.6 M
// values.
inline constexpr int kMaxJsonDepth = 64;
inline constexpr size_t kMaxJsonValues = size_t{4} << 20;

// The object a JSON file holds. kDataError if it is not valid JSON or not an object,
// kResourceExhausted beyond the limits; the errors of ReadTextFile otherwise.
Result<nlohmann::json> ReadJsonObject(const std::string& path, size_t max_bytes);

// The object in `text`, with the same errors; `path` stands for the text in messages.
Result<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& path);

// Member `name` of `object`, or nullptr if it is absent or null.
const nlohmann::json* FindMember(const nlohmann::json& object, const char* name);

// A value as a message shows it, cut if it is long.
std::string JsonText(const nlohmann::json& value);

// The fields of one JSON object by name. null counts as absent, as in transformers' own configs.
// Errors name the file and the field, what was expected and what was found.
class JsonFields {
 public:
  // `object` must outlive this. `path` and `prefix` ("text_config.") are for messages.
  JsonFields(const nlohmann::json& object, std::string path, std::string prefix = "")
      : object_(object), path_(std::move(path)), prefix_(std::move(prefix)) {}

  const std::string& path() const { return path_; }
  std::string FieldName(const char* name) const { return prefix_ + name; }

  // nullptr if absent or null.
  const nlohmann::json* Find(const char* name) const;

  // Absent: an error without a default, else `absent`.
  Result<int64_t> Integer(const char* name, int64_t low, int64_t high) const;
  Result<int64_t> IntegerOr(const char* name, int64_t low, int64_t high, int64_t absent) const;
  Result<double> PositiveOr(const char* name, double absent) const;
  Result<bool> BoolOr(const char* name, bool absent) const;
  Result<std::string> StringOr(const char* name, std::string absent) const;
  // The object in a field. Absent: nullopt.
  Result<std::optional<JsonFields>> Object(const char* name) const;

  // kUnsupported unless the field is `supported`; if it is absent, `absent` stands for it.
  Status RequireString(const char* name, std::string_view supported, std::string_view absent) const;
  Status RequireBool(const char* name, bool supported, bool absent) const;

  // kDataError: "<path>: <field> must be <expected>, found <value>".
  Status Wrong(const char* name, std::string_view expected) const;
  // kUnsupported: "<path>: <field> is <value>; only <supported> is supported".
  Status Unsupported(const char* name, std::string_view supported) const;

 private:
  std::string ValueText(const char* name) const;

  const nlohmann::json& object_;
  std::string path_;
  std::string prefix_;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_JSON_H_
