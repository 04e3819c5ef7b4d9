// JSON files read with limits, so that no file can exhaust memory or the stack.
#ifndef FASTVLM_TEXT_JSON_FILE_H_
#define FASTVLM_TEXT_JSON_FILE_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace fastvlm {

inline constexpr size_t kMaxJsonBytes = size_t{64} << 20;  // Qwen's tokenizer.json has 11 MB
inline constexpr size_t kMaxJsonValues = size_t{4} << 20;  // Qwen's has 0.6 M
inline constexpr int kMaxJsonDepth = 64;

// The object in the file `path`. Errors: kNotFound, kIoError, kResourceExhausted (beyond the
// limits above), kDataError (not JSON, or not an object).
Result<nlohmann::json> ReadJsonObject(const std::string& path);

// Member `name` of `object`, or null if it is absent or null.
const nlohmann::json* FindMember(const nlohmann::json& object, const char* name);

// `text`, shortened to fit an error message and printable.
std::string QuoteForMessage(std::string_view text);

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_JSON_FILE_H_
