#include "text/vocabulary.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "text/unicode.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kMaxAddedTokenBytes = 1024;

Result<std::vector<std::pair<std::string, std::string>>> ReadMerges(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxVocabularyBytes));
  if (!IsValidUtf8(text)) {
    return Error(StatusCode::kDataError, "{}: not UTF-8 text; fetch it again", path);
  }
  std::vector<std::pair<std::string, std::string>> merges;
  size_t line_number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    if (merges.size() == kMaxJsonValues) {
      return Error(StatusCode::kResourceExhausted, "{}: more than the limit of {} merges", path,
                   kMaxJsonValues);
    }
    FASTVLM_ASSIGN_OR_RETURN(auto merge, ParseMerge(line, path, line_number));
    merges.push_back(std::move(merge));
  }
  return merges;
}

// Contents of the fields "..._token" and "additional_special_tokens".
void CollectSpecialTokens(const json& object, std::set<std::string>* contents) {
  const auto collect = [&](const json& token) {
    if (token.is_string()) contents->insert(token.get<std::string>());
    if (!token.is_object()) return;
    const json* content = FindMember(token, "content");
    if (content != nullptr && content->is_string()) contents->insert(content->get<std::string>());
  };
  for (const auto& [key, value] : object.items()) {
    if (key.ends_with("_token")) collect(value);
    if (key != "additional_special_tokens" || !value.is_array()) continue;
    for (const json& token : value) collect(token);
  }
}

// added_tokens.json: {content: id}.
Result<std::vector<AddedToken>> ReadAddedTokens(const std::string& directory, const json* config) {
  const std::string path = directory + "/added_tokens.json";
  FASTVLM_ASSIGN_OR_RETURN(const json object, ReadJsonObject(path, kMaxVocabularyBytes));
  FASTVLM_RETURN_IF_ERROR(CheckAddedTokenCount(object.size(), path));
  std::set<std::string> special;
  if (config != nullptr) CollectSpecialTokens(*config, &special);
  const std::string map_path = directory + "/special_tokens_map.json";
  const bool has_map = PathExists(map_path);
  if (has_map) {
    FASTVLM_ASSIGN_OR_RETURN(const json map, ReadJsonObject(map_path, kMaxVocabularyBytes));
    CollectSpecialTokens(map, &special);
  }
  std::vector<AddedToken> tokens;
  for (const auto& [content, value] : object.items()) {
    FASTVLM_ASSIGN_OR_RETURN(const int32_t id, ParseTokenId(value, path, content));
    FASTVLM_ASSIGN_OR_RETURN(AddedToken token,
                             ParseAddedToken(json::object({{"content", content}}), id, path));
    token.special = (config == nullptr && !has_map) || special.contains(content);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// tokenizer_config.json's added_tokens_decoder: {"id": {content and flags}}.
Status MergeAddedTokensDecoder(const json& config, const std::string& path,
                               std::vector<AddedToken>* tokens) {
  const json* decoder = FindMember(config, "added_tokens_decoder");
  if (decoder == nullptr) return {};
  if (!decoder->is_object()) {
    return Error(StatusCode::kDataError, "{}: added_tokens_decoder: expected an object, found {}",
                 path, decoder->type_name());
  }
  FASTVLM_RETURN_IF_ERROR(CheckAddedTokenCount(decoder->size(), path));
  std::unordered_map<int32_t, size_t> index_of_id;
  for (size_t i = 0; i < tokens->size(); ++i) index_of_id.emplace((*tokens)[i].id, i);
  for (const auto& [key, value] : decoder->items()) {
    int64_t number = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc() || end != key.data() + key.size()) number = -1;
    FASTVLM_ASSIGN_OR_RETURN(const int32_t id,
                             ParseTokenId(json(number), path, "added_tokens_decoder." + key));
    FASTVLM_ASSIGN_OR_RETURN(AddedToken token, ParseAddedToken(value, id, path));
    const auto known = index_of_id.find(id);
    // Another content under a known id is left for Tokenizer::Create to refuse.
    if (known != index_of_id.end() && (*tokens)[known->second].content == token.content) {
      (*tokens)[known->second] = std::move(token);
    } else {
      tokens->push_back(std::move(token));
    }
  }
  return {};
}

Result<Vocabulary> ReadSeparateFiles(const std::string& directory, const json* config) {
  const std::string vocab_path = directory + "/vocab.json";
  const std::string merges_path = directory + "/merges.txt";
  if (!PathExists(vocab_path) || !PathExists(merges_path)) {
    return Error(StatusCode::kNotFound,
                 "{}: no tokenizer: looked for tokenizer.json (not there), or else vocab.json "
                 "({}) with merges.txt ({}); copy the tokenizer files of the checkpoint here",
                 directory, PathExists(vocab_path) ? "there" : "not there",
                 PathExists(merges_path) ? "there" : "not there");
  }
  Vocabulary vocabulary;
  FASTVLM_ASSIGN_OR_RETURN(const json tokens, ReadJsonObject(vocab_path, kMaxVocabularyBytes));
  FASTVLM_ASSIGN_OR_RETURN(vocabulary.tokens, ParseTokenIds(tokens, vocab_path, "the file"));
  FASTVLM_ASSIGN_OR_RETURN(vocabulary.merges, ReadMerges(merges_path));
  if (PathExists(directory + "/added_tokens.json")) {
    FASTVLM_ASSIGN_OR_RETURN(vocabulary.added_tokens, ReadAddedTokens(directory, config));
  }
  return vocabulary;
}

Result<bool> ParseFlag(const json& token, const char* name, bool fallback,
                       const std::string& path) {
  const json* flag = FindMember(token, name);
  if (flag == nullptr) return fallback;
  if (flag->is_boolean()) return flag->get<bool>();
  return Error(StatusCode::kDataError, "{}: {} of an added token: expected true or false, found {}",
               path, name, flag->type_name());
}

}  // namespace

Status CheckAddedTokenCount(size_t count, const std::string& path) {
  constexpr size_t kMaxAddedTokens = 65536;  // Qwen2.5 has 22
  if (count <= kMaxAddedTokens) return {};
  return Error(StatusCode::kResourceExhausted, "{}: {} added tokens, more than the limit of {}",
               path, count, kMaxAddedTokens);
}

Result<int32_t> ParseTokenId(const json& id, const std::string& path, std::string_view token) {
  if (!id.is_number_integer()) {
    return Error(StatusCode::kDataError, "{}: token {}: expected an integer id, found {}", path,
                 Quoted(token), id.type_name());
  }
  const bool fits = id.is_number_unsigned() ? id.get<uint64_t>() <= uint64_t{kMaxTokenId}
                                            : id.get<int64_t>() >= 0;
  if (!fits || id.get<int64_t>() > kMaxTokenId) {
    return Error(StatusCode::kDataError, "{}: token {}: expected an id in 0..{}, found {}", path,
                 Quoted(token), kMaxTokenId, id.dump());
  }
  return id.get<int32_t>();
}

Result<TokenMap> ParseTokenIds(const json& object, const std::string& path,
                               std::string_view field) {
  if (!object.is_object()) {
    return Error(StatusCode::kDataError, "{}: {}: expected an object of tokens and ids, found {}",
                 path, field, object.type_name());
  }
  TokenMap tokens;
  tokens.reserve(object.size());
  for (const auto& [spelling, value] : object.items()) {
    FASTVLM_ASSIGN_OR_RETURN(const int32_t id, ParseTokenId(value, path, spelling));
    tokens.emplace(spelling, id);
  }
  return tokens;
}

Result<AddedToken> ParseAddedToken(const json& token, int32_t id, const std::string& path) {
  const json* content = token.is_object() ? FindMember(token, "content") : nullptr;
  if (content == nullptr || !content->is_string()) {
    return Error(StatusCode::kDataError,
                 "{}: added token {}: expected an object with the string \"content\"", path, id);
  }
  AddedToken added;
  added.id = id;
  added.content = content->get<std::string>();
  if (added.content.empty() || added.content.size() > kMaxAddedTokenBytes) {
    return Error(StatusCode::kDataError,
                 "{}: added token {}: expected a content of 1 to {} bytes, found {}", path, id,
                 kMaxAddedTokenBytes, added.content.size());
  }
  FASTVLM_ASSIGN_OR_RETURN(added.special, ParseFlag(token, "special", false, path));
  FASTVLM_ASSIGN_OR_RETURN(added.normalized, ParseFlag(token, "normalized", !added.special, path));
  FASTVLM_ASSIGN_OR_RETURN(added.lstrip, ParseFlag(token, "lstrip", false, path));
  FASTVLM_ASSIGN_OR_RETURN(added.rstrip, ParseFlag(token, "rstrip", false, path));
  FASTVLM_ASSIGN_OR_RETURN(const bool single_word, ParseFlag(token, "single_word", false, path));
  if (single_word) {
    return Error(StatusCode::kUnsupported,
                 "{}: added token {} has single_word set, which is not supported; no FastVLM "
                 "checkpoint uses it",
                 path, Quoted(added.content));
  }
  return added;
}

Result<std::pair<std::string, std::string>> ParseMerge(std::string_view line,
                                                       const std::string& path, size_t number) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    return Error(StatusCode::kDataError,
                 "{}: merge {}: expected two tokens separated by one space, found {}", path, number,
                 Quoted(line));
  }
  return std::pair(std::string(line.substr(0, space)), std::string(line.substr(space + 1)));
}

Result<Vocabulary> ReadVocabulary(const std::string& directory) {
  if (!DirectoryExists(directory)) {
    return Error(StatusCode::kNotFound, "{}: expected a directory with a tokenizer", directory);
  }
  json config;
  const std::string config_path = directory + "/tokenizer_config.json";
  const bool has_config = PathExists(config_path);
  if (has_config) {
    FASTVLM_ASSIGN_OR_RETURN(config, ReadJsonObject(config_path, kMaxVocabularyBytes));
  }
  Vocabulary vocabulary;
  const std::string json_path = directory + "/tokenizer.json";
  if (PathExists(json_path)) {
    FASTVLM_ASSIGN_OR_RETURN(const json root, ReadJsonObject(json_path, kMaxVocabularyBytes));
    FASTVLM_ASSIGN_OR_RETURN(vocabulary, ParseTokenizerJson(root, json_path));
  } else {
    FASTVLM_ASSIGN_OR_RETURN(vocabulary,
                             ReadSeparateFiles(directory, has_config ? &config : nullptr));
  }
  if (has_config) {
    FASTVLM_RETURN_IF_ERROR(MergeAddedTokensDecoder(config, config_path, &vocabulary.added_tokens));
  }
  return vocabulary;
}

}  // namespace fastvlm
