#include <charconv>
#include <map>

#include "base/printable.h"
#include "base/status.h"
#include "checkpoint/layout.h"

namespace fastvlm {
namespace {

constexpr char kAppleVision[] = "model.vision_tower.vision_tower.model.";

// What an entry of mci.py's `network` list is.
enum class Part { kBlocks, kDownsample, kPosition };

// The part a tensor belongs to, from its name after "network.N.".
std::optional<Part> FindPart(std::string_view rest) {
  if (rest.starts_with("proj.")) return Part::kDownsample;
  if (rest.starts_with("reparam_conv.")) return Part::kPosition;
  if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return Part::kBlocks;
  return std::nullopt;
}

// Names that fit no part are left to be reported as unexpected.
Result<std::map<int, Part>> FindParts(const TensorFiles& files, const std::string& vision) {
  const std::string prefix = vision + "network.";
  std::map<int, Part> parts;
  for (auto it = files.tensors.lower_bound(prefix);
       it != files.tensors.end() && it->first.starts_with(prefix); ++it) {
    const std::string_view rest = std::string_view(it->first).substr(prefix.size());
    int index = 0;
    const auto number = std::from_chars(rest.data(), rest.data() + rest.size(), index);
    const size_t length = static_cast<size_t>(number.ptr - rest.data());
    if (number.ec != std::errc() || length == rest.size() || rest[length] != '.') continue;
    const std::optional<Part> part = FindPart(rest.substr(length + 1));
    if (!part) continue;
    if (!parts.emplace(index, *part).second && parts[index] != *part) {
      return Error(StatusCode::kDataError,
                   "{}: tensor {} is of another kind than the other tensors of {}{}",
                   it->second.tensor.file, Printable(it->first), prefix, index);
    }
  }
  return parts;
}

void AppendBlockRules(const std::string& theirs, const std::string& ours,
                      std::vector<NameRule>* rules) {
  rules->push_back({theirs + "token_mixer.reparam_conv.@", ours + "mixer.@"});
  rules->push_back({theirs + "layer_scale", ours + "layer_scale"});
  rules->push_back({theirs + "norm.@", ours + "norm.@"});
  rules->push_back({theirs + "token_mixer.qkv.weight", ours + "qkv.weight"});
  rules->push_back({theirs + "token_mixer.proj.@", ours + "projection.@"});
  rules->push_back({theirs + "layer_scale_1", ours + "layer_scale_1"});
  rules->push_back({theirs + "layer_scale_2", ours + "layer_scale_2"});
  const std::string ffn = theirs + "convffn.";
  rules->push_back({ffn + "conv.conv.weight", ours + "ffn.conv.weight"});
  rules->push_back({ffn + "conv.bn.@", ours + "ffn.bn.@"});
  rules->push_back({ffn + "conv.bn.running_mean", ours + "ffn.bn.running_mean"});
  rules->push_back({ffn + "conv.bn.running_var", ours + "ffn.bn.running_var"});
  rules->push_back({ffn + "conv.bn.num_batches_tracked", ""});
  rules->push_back({ffn + "fc1.@", ours + "ffn.fc1.@"});
  rules->push_back({ffn + "fc2.@", ours + "ffn.fc2.@"});
}

void AppendPartRules(const std::string& vision, Part part, int index, int stage,
                     std::vector<NameRule>* rules) {
  const std::string theirs = fmt::format("{}network.{}.", vision, index);
  const std::string ours = fmt::format("vision.stages.{}.", stage);
  switch (part) {
    case Part::kBlocks:
      AppendBlockRules(theirs + "#.", ours + "blocks.#.", rules);
      break;
    case Part::kDownsample:
      rules->push_back({theirs + "proj.0.lkb_reparam.@", ours + "downsample.conv.@"});
      rules->push_back({theirs + "proj.1.reparam_conv.@", ours + "downsample.pointwise.@"});
      break;
    case Part::kPosition:
      rules->push_back({theirs + "reparam_conv.@", ours + "position.@"});
      break;
  }
}

// A stage is [RepCPE] blocks, and a downsampling stands between two stages.
Status AppendNetworkRules(const TensorFiles& files, const std::string& vision,
                          std::vector<NameRule>* rules) {
  FASTVLM_ASSIGN_OR_RETURN(const auto parts, FindParts(files, vision));
  int stage = 0;
  int expected_index = 0;
  bool has_position = false, has_blocks = false;
  for (const auto& [index, part] : parts) {
    const std::string name = fmt::format("{}network.{}", vision, index);
    if (index != expected_index) {
      return Error(StatusCode::kDataError, "{}: no tensors named {}network.{}.*, but some of {}",
                   files.path, vision, expected_index, name);
    }
    ++expected_index;
    bool in_order = false;
    switch (part) {
      case Part::kDownsample:
        in_order = has_blocks;
        ++stage;
        has_position = has_blocks = false;
        break;
      case Part::kPosition:
        in_order = !has_position && !has_blocks;
        has_position = true;
        break;
      case Part::kBlocks:
        in_order = !has_blocks;
        has_blocks = true;
        break;
    }
    if (!in_order) {
      return Error(StatusCode::kUnsupported,
                   "{}: {}: expected stages of one group of blocks each, with a downsampling "
                   "between them and a position encoding before the blocks at most",
                   files.path, name);
    }
    AppendPartRules(vision, part, index, stage, rules);
  }
  if (!has_blocks) {
    return Error(StatusCode::kDataError, "{}: no tensors named {}network.{}.*: expected blocks",
                 files.path, vision, expected_index);
  }
  return {};
}

}  // namespace

bool IsAppleLayout(const TensorFiles& files) { return HasNameWithPrefix(files, kAppleVision); }

Status AppendAppleVisionRules(const TensorFiles& files, const std::string& vision,
                              const std::string& stem, std::vector<NameRule>* rules) {
  rules->push_back({vision + stem + "#.reparam_conv.@", "vision.stem.#.@"});
  FASTVLM_RETURN_IF_ERROR(AppendNetworkRules(files, vision, rules));
  rules->push_back({vision + "conv_exp.reparam_conv.@", "vision.expand.@"});
  rules->push_back({vision + "conv_exp.se.reduce.@", "vision.squeeze.@"});
  rules->push_back({vision + "conv_exp.se.expand.@", "vision.excite.@"});
  // The projection of CLIP training; the language model takes the features before it.
  rules->push_back({vision + "head.proj", ""});
  return {};
}

Result<Layout> AppleLayout(const TensorFiles& files) {
  Layout layout{.name = "apple", .rules = {}};
  std::vector<NameRule>& rules = layout.rules;
  FASTVLM_RETURN_IF_ERROR(AppendAppleVisionRules(files, kAppleVision, "patch_embed.", &rules));
  rules.push_back({"model.mm_projector.0.@", "projector.first.@"});
  rules.push_back({"model.mm_projector.2.@", "projector.second.@"});
  AppendDecoderRules("model.", &rules);
  return layout;
}

}  // namespace fastvlm
