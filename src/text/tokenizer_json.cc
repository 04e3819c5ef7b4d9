// tokenizer.json, the file of Hugging Face's tokenizers: accepted only if it describes Qwen2's
// pipeline (NFC, the split rule, byte-level BPE), since that is the one implemented here.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/printable.h"
#include "text/vocabulary.h"
#include "text/word_splitter.h"

namespace fastvlm {
namespace {

using nlohmann::json;

Status WrongKind(const std::string& path, std::string_view field, std::string_view expected,
                 const json* found) {
  const std::string text =
      found == nullptr ? "nothing" : found->dump(-1, ' ', false, json::error_handler_t::replace);
  return Error(StatusCode::kUnsupported,
               "{}: {}: expected {}, found {}; only tokenizers of the Qwen2 and Qwen2.5 kind can "
               "be read",
               path, field, expected, Quoted(text));
}

// `object`[`name`] equals `value`; absent or null counts as `fallback`.
template <typename T>
bool FieldIs(const json& object, const char* name, const T& value, const T& fallback) {
  const json* field = object.is_object() ? FindMember(object, name) : nullptr;
  return field == nullptr ? value == fallback : *field == json(value);
}

bool HasType(const json* object, const char* type) {
  return object != nullptr && FieldIs<std::string>(*object, "type", type, "");
}

Status CheckPreTokenizer(const json* pre_tokenizer, const std::string& path) {
  const std::string expected = "a Sequence of Split with Qwen2's pattern and ByteLevel";
  const json* steps =
      HasType(pre_tokenizer, "Sequence") ? FindMember(*pre_tokenizer, "pretokenizers") : nullptr;
  if (steps == nullptr || !steps->is_array() || steps->size() != 2) {
    return WrongKind(path, "pre_tokenizer", expected, pre_tokenizer);
  }
  const json* split = &(*steps)[0];
  if (!HasType(split, "Split") || !FieldIs<std::string>(*split, "behavior", "Isolated", "") ||
      !FieldIs(*split, "invert", false, false)) {
    return WrongKind(path, "pre_tokenizer[0]", "an isolating Split", split);
  }
  const json* pattern = FindMember(*split, "pattern");
  if (pattern == nullptr ||
      !FieldIs<std::string>(*pattern, "Regex", std::string(kQwen2SplitPattern), "")) {
    return WrongKind(path, "pre_tokenizer[0].pattern", "Qwen2's regular expression", pattern);
  }
  const json* bytes = &(*steps)[1];
  if (!HasType(bytes, "ByteLevel") || !FieldIs(*bytes, "use_regex", false, true) ||
      !FieldIs(*bytes, "add_prefix_space", false, true)) {
    return WrongKind(path, "pre_tokenizer[1]",
                     "ByteLevel without use_regex and without add_prefix_space", bytes);
  }
  return {};
}

// The model's options, all of which change ids, are those of plain BPE.
Status CheckModelOptions(const json& model, const std::string& path) {
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!FieldIs<std::string>(model, name, "", "")) {
      return WrongKind(path, name, "none", FindMember(model, name));
    }
  }
  for (const char* name : {"byte_fallback", "ignore_merges"}) {
    if (!FieldIs(model, name, false, false)) {
      return WrongKind(path, name, "false", FindMember(model, name));
    }
  }
  const json* dropout = FindMember(model, "dropout");
  if (dropout != nullptr) return WrongKind(path, "dropout", "none", dropout);
  return {};
}

// A TemplateProcessing that passes a single text through, as transformers 5 writes it.
bool IsBareTemplate(const json& post) {
  if (!HasType(&post, "TemplateProcessing")) return false;
  const json* single = FindMember(post, "single");
  return single != nullptr && single->is_array() && single->size() == 1 &&
         (*single)[0].is_object() && (*single)[0].contains("Sequence");
}

Status CheckKind(const json& root, const std::string& path) {
  const json* model = FindMember(root, "model");
  // Old files have no type; a BPE model is then told by its merges.
  const bool is_bpe =
      model != nullptr && model->is_object() &&
      (HasType(model, "BPE") || (!model->contains("type") && model->contains("merges")));
  if (!is_bpe) {
    const json* type = model != nullptr && model->is_object() ? FindMember(*model, "type") : model;
    return WrongKind(path, "model.type", "\"BPE\"", type);
  }
  FASTVLM_RETURN_IF_ERROR(CheckModelOptions(*model, path));
  const json* normalizer = FindMember(root, "normalizer");
  if (!HasType(normalizer, "NFC")) return WrongKind(path, "normalizer", "NFC", normalizer);
  FASTVLM_RETURN_IF_ERROR(CheckPreTokenizer(FindMember(root, "pre_tokenizer"), path));
  const json* decoder = FindMember(root, "decoder");
  if (!HasType(decoder, "ByteLevel")) return WrongKind(path, "decoder", "ByteLevel", decoder);
  const json* post = FindMember(root, "post_processor");
  if (post != nullptr && !HasType(post, "ByteLevel") && !IsBareTemplate(*post)) {
    return WrongKind(path, "post_processor", "one that adds no tokens", post);
  }
  return {};
}

// Merges are "a b" or, since tokenizers 0.20, ["a", "b"].
Status ParseMerges(const json* merges, const std::string& path, Vocabulary* vocabulary) {
  if (merges == nullptr || !merges->is_array()) {
    return Error(StatusCode::kDataError, "{}: model.merges: expected an array, found {}", path,
                 merges == nullptr ? "nothing" : merges->type_name());
  }
  vocabulary->merges.reserve(merges->size());
  for (const json& merge : *merges) {
    const size_t number = vocabulary->merges.size();
    if (merge.is_string()) {
      FASTVLM_ASSIGN_OR_RETURN(auto pair,
                               ParseMerge(merge.get_ref<const std::string&>(), path, number));
      vocabulary->merges.push_back(std::move(pair));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      vocabulary->merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      return Error(StatusCode::kDataError, "{}: model.merges[{}]: expected two tokens, found {}",
                   path, number, merge.type_name());
    }
  }
  return {};
}

Status ParseAddedTokens(const json* tokens, const std::string& path, Vocabulary* vocabulary) {
  if (tokens == nullptr) return {};
  if (!tokens->is_array()) {
    return Error(StatusCode::kDataError, "{}: added_tokens: expected an array, found {}", path,
                 tokens->type_name());
  }
  FASTVLM_RETURN_IF_ERROR(CheckAddedTokenCount(tokens->size(), path));
  for (const json& token : *tokens) {
    const json* id_value = token.is_object() ? FindMember(token, "id") : nullptr;
    if (id_value == nullptr) {
      return Error(StatusCode::kDataError, "{}: added_tokens: expected objects with an \"id\"",
                   path);
    }
    FASTVLM_ASSIGN_OR_RETURN(const int32_t id, ParseTokenId(*id_value, path, "added_tokens"));
    FASTVLM_ASSIGN_OR_RETURN(AddedToken added, ParseAddedToken(token, id, path));
    vocabulary->added_tokens.push_back(std::move(added));
  }
  return {};
}

}  // namespace

Result<Vocabulary> ParseTokenizerJson(const json& root, const std::string& path) {
  FASTVLM_RETURN_IF_ERROR(CheckKind(root, path));
  const json& model = root["model"];
  Vocabulary vocabulary;
  const json* tokens = FindMember(model, "vocab");
  if (tokens == nullptr) {
    return Error(StatusCode::kDataError, "{}: model.vocab is missing; the file is damaged", path);
  }
  FASTVLM_ASSIGN_OR_RETURN(vocabulary.tokens, ParseTokenIds(*tokens, path, "model.vocab"));
  FASTVLM_RETURN_IF_ERROR(ParseMerges(FindMember(model, "merges"), path, &vocabulary));
  FASTVLM_RETURN_IF_ERROR(ParseAddedTokens(FindMember(root, "added_tokens"), path, &vocabulary));
  return vocabulary;
}

}  // namespace fastvlm
