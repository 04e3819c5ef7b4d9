#include "checkpoint/layout.h"

#include <algorithm>
#include <array>

#include "base/printable.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxDigits = 4;

// Length of the number that `text` begins with; 0 if there is none.
size_t NumberLength(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && text[length] >= '0' && text[length] <= '9') ++length;
  if (length > kMaxDigits || (length > 1 && text[0] == '0')) return 0;
  return length;
}

size_t WeightOrBiasLength(std::string_view text) {
  if (text.starts_with("weight")) return 6;
  if (text.starts_with("bias")) return 4;
  return 0;
}

// Parts of names that exist only before the branches are folded into one convolution: mci.py's and
// timm's MobileOne, large kernel, RepMixer and RepCPE modules.
bool IsTrainingForm(std::string_view name) {
  constexpr std::array<std::string_view, 11> kParts = {
      ".rbr_conv.",          ".rbr_scale.",  ".rbr_skip.", ".lkb_origin.",
      ".small_conv.",        ".large_conv.", ".conv_kxk.", ".conv_scale.",
      ".token_mixer.mixer.", ".pe.",         ".pos_enc."};
  return std::any_of(kParts.begin(), kParts.end(), [name](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

Status CheckInferenceForm(const TensorFiles& files) {
  for (const auto& [name, stored] : files.tensors) {
    if (IsTrainingForm(name) && !IsPassedOver(name)) {
      return Error(StatusCode::kUnsupported,
                   "{}: tensor {} belongs to the training form of the image encoder; "
                   "reparameterize the model and save it again",
                   stored.tensor.file, Printable(name));
    }
  }
  return {};
}

}  // namespace

std::optional<std::string> Rewrite(std::string_view name, std::string_view pattern,
                                   std::string_view replacement) {
  std::string result;
  // Copies `replacement` up to its next placeholder.
  const auto copy_literal = [&] {
    const size_t end = std::min(replacement.find_first_of("#@"), replacement.size());
    result += replacement.substr(0, end);
    replacement.remove_prefix(std::min(end + 1, replacement.size()));
  };
  for (; !pattern.empty(); pattern.remove_prefix(1)) {
    if (pattern[0] != '#' && pattern[0] != '@') {
      if (name.empty() || name[0] != pattern[0]) return std::nullopt;
      name.remove_prefix(1);
      continue;
    }
    const size_t length = pattern[0] == '#' ? NumberLength(name) : WeightOrBiasLength(name);
    if (length == 0) return std::nullopt;
    const bool wanted = replacement.find_first_of("#@") != std::string_view::npos;
    copy_literal();
    if (wanted) result += name.substr(0, length);
    name.remove_prefix(length);
  }
  if (!name.empty()) return std::nullopt;
  copy_literal();
  return result;
}

bool IsPassedOver(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEnds = {".rotary_emb.inv_freq", ".self_attn.bias",
                                                     ".self_attn.masked_bias", ".image_newline",
                                                     ".num_batches_tracked"};
  return std::any_of(kEnds.begin(), kEnds.end(), [name](std::string_view end) {
    return name.ends_with(end) || name == end.substr(1);
  });
}

bool HasNameWithPrefix(const TensorFiles& files, std::string_view prefix) {
  const auto found = files.tensors.lower_bound(std::string(prefix));
  return found != files.tensors.end() && found->first.starts_with(prefix);
}

void AppendDecoderRules(const std::string& prefix, std::vector<NameRule>* rules) {
  AppendDecoderRules(prefix, "", rules);
}

void AppendDecoderRules(const std::string& prefix, const std::string& head,
                        std::vector<NameRule>* rules) {
  rules->push_back({prefix + "embed_tokens.weight", "decoder.embedding"});
  rules->push_back({prefix + "norm.weight", "decoder.final_norm"});
  const std::string theirs = prefix + "layers.#.";
  const std::string ours = "decoder.layers.#.";
  rules->push_back({theirs + "input_layernorm.weight", ours + "input_norm"});
  rules->push_back({theirs + "post_attention_layernorm.weight", ours + "post_attention_norm"});
  for (const char* name : {"q", "k", "v"}) {
    rules->push_back({theirs + "self_attn." + name + "_proj.@", ours + name + ".@"});
  }
  rules->push_back({theirs + "self_attn.o_proj.weight", ours + "o.weight"});
  for (const char* name : {"gate", "up", "down"}) {
    rules->push_back({theirs + "mlp." + name + "_proj.weight", ours + name + ".weight"});
  }
  rules->push_back({head + "lm_head.weight", "decoder.head"});
}

Result<Layout> FindLayout(const TensorFiles& files) {
  if (files.tensors.empty()) {
    return Error(StatusCode::kDataError, "{}: holds no tensors", files.path);
  }
  FASTVLM_RETURN_IF_ERROR(CheckInferenceForm(files));
  if (IsAppleLayout(files)) return AppleLayout(files);
  if (IsFastVlmLayout(files)) return FastVlmLayout();
  if (IsMlxLayout(files)) return MlxLayout(files);
  if (IsMlxExportLayout(files)) return MlxExportLayout();
  return Error(StatusCode::kDataError,
               "{}: not a FastVLM: expected tensors named model.vision_tower.*, vision_tower.* or "
               "multi_modal_projector.*, found {} tensors such as {}",
               files.path, files.tensors.size(), Printable(files.tensors.begin()->first));
}

}  // namespace fastvlm
