#include "hub/model_files.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/printable.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxNameBytes = 255;

constexpr std::array<std::string_view, 14> kSmallFiles = {"config.json",
                                                          "generation_config.json",
                                                          "tokenizer.json",
                                                          "tokenizer_config.json",
                                                          "vocab.json",
                                                          "merges.txt",
                                                          "added_tokens.json",
                                                          "special_tokens_map.json",
                                                          "preprocessor_config.json",
                                                          "processor_config.json",
                                                          "chat_template.jinja",
                                                          "chat_template.json",
                                                          "golden.json",
                                                          "video_preprocessor_config.json"};

bool IsShard(std::string_view name) {
  constexpr std::string_view kPattern = "model-#####-of-#####.safetensors";
  return name.size() == kPattern.size() &&
         std::equal(name.begin(), name.end(), kPattern.begin(), [](char c, char expected) {
           return expected == '#' ? std::isdigit(static_cast<unsigned char>(c)) != 0
                                  : c == expected;
         });
}

// The shards 1 to N of N, in order; none if one of them is missing or there are several N.
std::vector<std::string> CompleteShards(const std::vector<std::string>& names) {
  std::vector<std::string> shards;
  std::copy_if(names.begin(), names.end(), std::back_inserter(shards), IsShard);
  std::sort(shards.begin(), shards.end());
  for (size_t i = 0; i < shards.size(); ++i) {
    if (shards[i] != fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size())) {
      return {};
    }
  }
  return shards;
}

std::string Shortened(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 12; ++i) {
    text += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  return names.size() > 12 ? text + ", ..." : names.empty() ? "no files" : text;
}

}  // namespace

bool IsSafeName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return c < 0x80 &&
                  (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == '+');
         });
}

bool IsLicenceFile(std::string_view name) {
  if (!IsSafeName(name)) return false;
  const bool starts = name.starts_with("LICENSE") || name.starts_with("LICENCE");
  const std::string_view rest = starts ? name.substr(7) : "?";
  return starts && (rest.empty() || rest.front() == '.' || rest.front() == '_');
}

Result<std::vector<std::string>> SelectModelFiles(const std::vector<std::string>& names,
                                                  const std::string& origin) {
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string> weights;
  const std::vector<std::string> shards = CompleteShards(names);
  const bool has_index = has("model.safetensors.index.json");
  // As the reader of checkpoints chooses: an index whose shards are all there, then the one file,
  // then shards alone.
  if (!shards.empty() && (has_index || !has("model.safetensors"))) {
    weights = shards;
    if (has_index) weights.insert(weights.begin(), "model.safetensors.index.json");
  } else if (has("model.safetensors")) {
    weights = {"model.safetensors"};
  } else if (has("model.gguf") && has("mmproj.gguf")) {
    weights = {"mmproj.gguf", "model.gguf"};
  }
  const bool complete = has("config.json") || (!weights.empty() && has("model.gguf"));
  if (weights.empty() || !complete) {
    return Error(StatusCode::kUnsupported,
                 "{}: no model this program reads; expected config.json with model.safetensors or "
                 "its shards, or model.gguf with mmproj.gguf; found {}",
                 origin, Shortened(names));
  }
  std::vector<std::string> selected;
  for (std::string_view name : kSmallFiles) {
    if (has(name)) selected.emplace_back(name);
  }
  std::copy_if(names.begin(), names.end(), std::back_inserter(selected), IsLicenceFile);
  selected.insert(selected.end(), weights.begin(), weights.end());
  std::sort(selected.begin(), selected.end() - static_cast<ptrdiff_t>(weights.size()));
  selected.erase(std::unique(selected.begin(), selected.end()), selected.end());
  return selected;
}

}  // namespace fastvlm
