#include "checkpoint/layout.h"

namespace fastvlm {
namespace {

constexpr char kTimmVision[] = "model.vision_tower.timm_model.";

}  // namespace

bool IsFastVlmLayout(const TensorFiles& files) { return HasNameWithPrefix(files, kTimmVision); }

Layout FastVlmLayout() {
  Layout layout{.name = "fast_vlm", .rules = {}};
  std::vector<NameRule>& rules = layout.rules;
  const std::string vision = kTimmVision;
  rules.push_back({vision + "stem.#.reparam_conv.@", "vision.stem.#.@"});

  const std::string stage = vision + "stages.#.";
  rules.push_back(
      {stage + "downsample.proj.0.reparam_conv.@", "vision.stages.#.downsample.conv.@"});
  rules.push_back(
      {stage + "downsample.proj.1.reparam_conv.@", "vision.stages.#.downsample.pointwise.@"});
  rules.push_back({stage + "pos_emb.reparam_conv.@", "vision.stages.#.position.@"});

  const std::string block = stage + "blocks.#.";
  const std::string ours = "vision.stages.#.blocks.#.";
  rules.push_back({block + "token_mixer.reparam_conv.@", ours + "mixer.@"});
  rules.push_back({block + "layer_scale.gamma", ours + "layer_scale"});
  rules.push_back({block + "norm.@", ours + "norm.@"});
  rules.push_back({block + "token_mixer.qkv.weight", ours + "qkv.weight"});
  rules.push_back({block + "token_mixer.proj.@", ours + "projection.@"});
  rules.push_back({block + "layer_scale_1.gamma", ours + "layer_scale_1"});
  rules.push_back({block + "layer_scale_2.gamma", ours + "layer_scale_2"});
  rules.push_back({block + "mlp.conv.conv.weight", ours + "ffn.conv.weight"});
  rules.push_back({block + "mlp.conv.bn.@", ours + "ffn.bn.@"});
  rules.push_back({block + "mlp.conv.bn.running_mean", ours + "ffn.bn.running_mean"});
  rules.push_back({block + "mlp.conv.bn.running_var", ours + "ffn.bn.running_var"});
  rules.push_back({block + "mlp.conv.bn.num_batches_tracked", ""});
  rules.push_back({block + "mlp.fc1.@", ours + "ffn.fc1.@"});
  rules.push_back({block + "mlp.fc2.@", ours + "ffn.fc2.@"});

  rules.push_back({vision + "final_conv.reparam_conv.@", "vision.expand.@"});
  rules.push_back({vision + "final_conv.se.fc1.@", "vision.squeeze.@"});
  rules.push_back({vision + "final_conv.se.fc2.@", "vision.excite.@"});
  rules.push_back({"model.multi_modal_projector.linear_1.@", "projector.first.@"});
  rules.push_back({"model.multi_modal_projector.linear_2.@", "projector.second.@"});
  AppendDecoderRules("model.language_model.", &rules);
  return layout;
}

}  // namespace fastvlm
