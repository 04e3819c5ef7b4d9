#include "train/nn/fused_tensors.h"

namespace fastvlm::train {
namespace {

using Tensors = std::vector<std::pair<std::string, Tensor>>;

void Add(Tensors* tensors, const std::string& name, const Tensor& value) {
  tensors->emplace_back(name, value.detach().to(torch::kFloat).contiguous());
}

void AddConv(Tensors* tensors, const std::string& name, const FusedConv& conv) {
  Add(tensors, name + ".reparam_conv.weight", conv.weight);
  Add(tensors, name + ".reparam_conv.bias", conv.bias);
}

// A linear layer stored as a 1x1 convolution.
void AddPointwise(Tensors* tensors, const std::string& name, const Tensor& weight,
                  const Tensor& bias) {
  Add(tensors, name + ".weight", weight.view({weight.size(0), weight.size(1), 1, 1}));
  Add(tensors, name + ".bias", bias);
}

void AddFfn(Tensors* tensors, const std::string& block, const ConvFfn& ffn) {
  const std::string conv = block + ".mlp.conv.";
  Add(tensors, conv + "conv.weight", ffn.conv.permute({2, 0, 1}).unsqueeze(1));
  Add(tensors, conv + "bn.weight", ffn.norm->gain);
  Add(tensors, conv + "bn.bias", ffn.norm->bias);
  Add(tensors, conv + "bn.running_mean", ffn.norm->running_mean);
  Add(tensors, conv + "bn.running_var", ffn.norm->running_variance);
  AddPointwise(tensors, block + ".mlp.fc1", ffn.fc1_weight, ffn.fc1_bias);
  AddPointwise(tensors, block + ".mlp.fc2", ffn.fc2_weight, ffn.fc2_bias);
}

void AddScale(Tensors* tensors, const std::string& name, const Tensor& scale) {
  Add(tensors, name + ".gamma", scale.view({-1, 1, 1}));
}

void AddStage(Tensors* tensors, const std::string& name, const Stage& stage) {
  if (stage.downsample) {
    AddConv(tensors, name + ".downsample.proj.0", stage.downsample->conv->Fuse());
    AddConv(tensors, name + ".downsample.proj.1", stage.downsample->pointwise->Fuse());
  }
  if (stage.position) AddConv(tensors, name + ".pos_emb", stage.position->Fuse());
  for (size_t i = 0; i < stage.rep_mixer_blocks.size(); ++i) {
    const RepMixerBlock& block = *stage.rep_mixer_blocks[i];
    const std::string prefix = fmt::format("{}.blocks.{}", name, i);
    AddConv(tensors, prefix + ".token_mixer", block.FuseMixer());
    AddFfn(tensors, prefix, *block.ffn);
    AddScale(tensors, prefix + ".layer_scale", block.layer_scale);
  }
  for (size_t i = 0; i < stage.attention_blocks.size(); ++i) {
    const AttentionBlock& block = *stage.attention_blocks[i];
    const std::string prefix = fmt::format("{}.blocks.{}", name, i);
    Add(tensors, prefix + ".norm.weight", block.norm_gain);
    Add(tensors, prefix + ".norm.bias", block.norm_bias);
    Add(tensors, prefix + ".token_mixer.qkv.weight", block.qkv_weight);
    Add(tensors, prefix + ".token_mixer.proj.weight", block.projection_weight);
    Add(tensors, prefix + ".token_mixer.proj.bias", block.projection_bias);
    AddScale(tensors, prefix + ".layer_scale_1", block.layer_scale_1);
    AddFfn(tensors, prefix, *block.ffn);
    AddScale(tensors, prefix + ".layer_scale_2", block.layer_scale_2);
  }
}

void AddDecoderLayer(Tensors* tensors, const std::string& name, const DecoderLayer& layer) {
  Add(tensors, name + ".input_layernorm.weight", layer.input_norm);
  Add(tensors, name + ".self_attn.q_proj.weight", layer.q_weight);
  Add(tensors, name + ".self_attn.q_proj.bias", layer.q_bias);
  Add(tensors, name + ".self_attn.k_proj.weight", layer.k_weight);
  Add(tensors, name + ".self_attn.k_proj.bias", layer.k_bias);
  Add(tensors, name + ".self_attn.v_proj.weight", layer.v_weight);
  Add(tensors, name + ".self_attn.v_proj.bias", layer.v_bias);
  Add(tensors, name + ".self_attn.o_proj.weight", layer.o_weight);
  Add(tensors, name + ".post_attention_layernorm.weight", layer.post_norm);
  Add(tensors, name + ".mlp.gate_proj.weight", layer.gate_weight);
  Add(tensors, name + ".mlp.up_proj.weight", layer.up_weight);
  Add(tensors, name + ".mlp.down_proj.weight", layer.down_weight);
}

}  // namespace

Tensors FusedTensors(const Network& network) {
  torch::NoGradGuard no_grad;
  Tensors tensors;
  const std::string vision = "model.vision_tower.timm_model.";
  const Encoder& encoder = *network.encoder;
  for (size_t i = 0; i < encoder.stem.size(); ++i) {
    AddConv(&tensors, fmt::format("{}stem.{}", vision, i), encoder.stem[i]->Fuse());
  }
  for (size_t i = 0; i < encoder.stages.size(); ++i) {
    AddStage(&tensors, fmt::format("{}stages.{}", vision, i), *encoder.stages[i]);
  }
  AddConv(&tensors, vision + "final_conv", encoder.expand->Fuse());
  const SqueezeExcite& se = *encoder.squeeze_excite;
  AddPointwise(&tensors, vision + "final_conv.se.fc1", se.reduce_weight, se.reduce_bias);
  AddPointwise(&tensors, vision + "final_conv.se.fc2", se.expand_weight, se.expand_bias);

  const std::string projector = "model.multi_modal_projector.linear_";
  Add(&tensors, projector + "1.weight", network.project_1_weight);
  Add(&tensors, projector + "1.bias", network.project_1_bias);
  Add(&tensors, projector + "2.weight", network.project_2_weight);
  Add(&tensors, projector + "2.bias", network.project_2_bias);

  const std::string language = "model.language_model.";
  Add(&tensors, language + "embed_tokens.weight", network.decoder->embedding);
  for (size_t i = 0; i < network.decoder->layers.size(); ++i) {
    AddDecoderLayer(&tensors, fmt::format("{}layers.{}", language, i), *network.decoder->layers[i]);
  }
  Add(&tensors, language + "norm.weight", network.decoder->final_norm);
  return tensors;
}

}  // namespace fastvlm::train
