#include "train/tokenizer/tokenizer_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "text/byte_alphabet.h"
#include "text/word_splitter.h"
#include "train/tokenizer/special_tokens.h"

namespace fastvlm::train {
namespace {

using Json = nlohmann::ordered_json;

// What Qwen2 states. The model's own max_position_embeddings is the limit that counts.
constexpr int kModelMaxLength = 32768;

std::string Spelling(const std::string& bytes) {
  std::string spelling;
  for (const char c : bytes) spelling += SpellByte(static_cast<uint8_t>(c));
  return spelling;
}

Json VocabularyJson(const BpeModel& model) {
  Json::object_t object;
  object.reserve(model.tokens.size());
  // Through the underlying vector: ordered_json's own insertion looks at every key before it.
  for (const std::string& token : model.tokens) {
    object.Json::object_t::Container::emplace_back(Spelling(token), object.size());
  }
  return object;
}

std::vector<std::string> MergeLines(const BpeModel& model) {
  std::vector<std::string> lines;
  for (const auto& [left, right] : model.merges) {
    lines.push_back(Spelling(model.tokens[left]) + " " + Spelling(model.tokens[right]));
  }
  return lines;
}

// The flags of an added token, without its id.
Json AddedTokenEntry(std::string_view content) {
  return {{"content", content}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},    {"single_word", false}, {"special", true}};
}

Json ByteLevel() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", false},
          {"use_regex", false}};
}

Json TokenizerJson(const BpeModel& model) {
  Json added = Json::array();
  for (const std::string_view content : kSpecialTokens) {
    Json token = {{"id", model.tokens.size() + added.size()}};
    token.update(AddedTokenEntry(content));
    added.push_back(std::move(token));
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwen2SplitPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "Sequence"}, {"pretokenizers", Json::array({split, ByteLevel()})}}},
          {"post_processor", ByteLevel()},
          {"decoder", ByteLevel()},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", VocabularyJson(model)},
            {"merges", MergeLines(model)}}}};
}

Json AdditionalTokens() { return Json::array({"<|im_start|>", "<|im_end|>", kImageToken}); }

Json ConfigJson(const BpeModel& model) {
  Json decoder = Json::object();
  for (size_t i = 0; i < kSpecialTokens.size(); ++i) {
    decoder[std::to_string(model.tokens.size() + i)] = AddedTokenEntry(kSpecialTokens[i]);
  }
  return {{"add_prefix_space", false},
          {"added_tokens_decoder", decoder},
          {"additional_special_tokens", AdditionalTokens()},
          {"bos_token", nullptr},
          {"chat_template", kChatTemplate},
          {"clean_up_tokenization_spaces", false},
          {"eos_token", kEndToken},
          {"errors", "replace"},
          {"model_max_length", kModelMaxLength},
          {"pad_token", kPadToken},
          {"split_special_tokens", false},
          {"tokenizer_class", "Qwen2Tokenizer"},
          {"unk_token", nullptr}};
}

Json SpecialTokensMap() {
  return {{"additional_special_tokens", AdditionalTokens()},
          {"eos_token", AddedTokenEntry(kEndToken)},
          {"pad_token", AddedTokenEntry(kPadToken)}};
}

Status WriteText(const std::string& path, std::string_view text) {
  const std::span<const uint8_t> part(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(path, {&part, 1});
}

Status WriteJson(const std::string& path, const Json& json) {
  return WriteText(path, json.dump(2) + "\n");
}

}  // namespace

Status WriteTokenizer(const BpeModel& model, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return Error(StatusCode::kIoError, "{}: cannot create the directory: {}", directory,
                 error.message());
  }
  std::string merges = "#version: 0.2\n";
  for (const std::string& line : MergeLines(model)) merges += line + "\n";
  FASTVLM_RETURN_IF_ERROR(WriteText(directory + "/merges.txt", merges));
  FASTVLM_RETURN_IF_ERROR(WriteJson(directory + "/vocab.json", VocabularyJson(model)));
  FASTVLM_RETURN_IF_ERROR(WriteText(directory + "/chat_template.jinja", kChatTemplate));
  FASTVLM_RETURN_IF_ERROR(WriteJson(directory + "/special_tokens_map.json", SpecialTokensMap()));
  FASTVLM_RETURN_IF_ERROR(WriteJson(directory + "/tokenizer_config.json", ConfigJson(model)));
  return WriteJson(directory + "/tokenizer.json", TokenizerJson(model));
}

}  // namespace fastvlm::train
