#include "text/json_file.h"

#include <algorithm>

#include "base/file.h"
#include "text/unicode.h"

namespace fastvlm {
namespace {

// Counts values and nesting without building anything.
Status CheckShape(const std::string& text, const std::string& path) {
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

Result<nlohmann::json> ReadJsonObject(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxJsonBytes));
  FASTVLM_RETURN_IF_ERROR(CheckShape(text, path));
  try {
    nlohmann::json value = nlohmann::json::parse(text);
    if (value.is_object()) return value;
    return Error(StatusCode::kDataError, "{}: expected a JSON object, found {} {}", path,
                 value.type_name(), QuoteForMessage(text));
  } catch (const nlohmann::json::parse_error& error) {
    return Error(StatusCode::kDataError,
                 "{}: not valid JSON at byte {} of {}; the file is damaged or cut off, fetch it "
                 "again",
                 path, error.byte, text.size());
  } catch (const nlohmann::json::exception& error) {
    return Error(StatusCode::kDataError, "{}: not valid JSON: {}", path,
                 QuoteForMessage(error.what()));
  }
}

const nlohmann::json* FindMember(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string QuoteForMessage(std::string_view text) {
  constexpr size_t kMaxShown = 60;
  std::string shown = ReplaceInvalidUtf8(text.substr(0, kMaxShown));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20; }, ' ');
  return '"' + shown + (text.size() > kMaxShown ? "...\"" : "\"");
}

}  // namespace fastvlm
