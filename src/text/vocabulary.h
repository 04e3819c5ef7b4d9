// The files of a byte-level BPE tokenizer, read and checked.
#ifndef FASTVLM_TEXT_VOCABULARY_H_
#define FASTVLM_TEXT_VOCABULARY_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/added_tokens.h"

namespace fastvlm {

inline constexpr size_t kMaxVocabularyBytes = size_t{64} << 20;  // of a file; Qwen's have 11 MB
inline constexpr int32_t kMaxTokenId = (1 << 24) - 1;  // published vocabularies end below 2^18

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using TokenMap = std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>;

// What a Tokenizer is made from. Tokens are spelled in the byte alphabet (byte_alphabet.h).
struct Vocabulary {
  TokenMap tokens;                                          // without added tokens, or with some
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  std::vector<AddedToken> added_tokens;
};

// Reads tokenizer.json, or if there is none vocab.json, merges.txt and added_tokens.json, from
// `directory`; then tokenizer_config.json's added_tokens_decoder, which adds tokens and wins over
// the flags of added_tokens.json. That file has no flags of its own: its tokens are special if
// special_tokens_map.json or tokenizer_config.json name them, or if neither file exists. Flags
// are the ones of HF; single_word is refused. "truncation" and "padding" are ignored.
// Ids are within 0..kMaxTokenId. Errors: kNotFound names what was looked for; kDataError;
// kUnsupported for another kind of tokenizer, saying what was expected and found;
// kResourceExhausted beyond a limit on size, depth, merges or added tokens.
Result<Vocabulary> ReadVocabulary(const std::string& directory);

// tokenizer_json.cc: the content of tokenizer.json. `path` is for messages.
Result<Vocabulary> ParseTokenizerJson(const nlohmann::json& root, const std::string& path);

// Shared by the readers above.
Status CheckAddedTokenCount(size_t count, const std::string& path);
Result<TokenMap> ParseTokenIds(const nlohmann::json& object, const std::string& path,
                               std::string_view field);
Result<AddedToken> ParseAddedToken(const nlohmann::json& token, int32_t id,
                                   const std::string& path);
Result<int32_t> ParseTokenId(const nlohmann::json& id, const std::string& path,
                             std::string_view token);
Result<std::pair<std::string, std::string>> ParseMerge(std::string_view line,
                                                       const std::string& path, size_t number);

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_VOCABULARY_H_
