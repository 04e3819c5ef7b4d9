#include "train/nn/load_fused_tensors.h"

#include <set>

#include "train/nn/fused_tensors.h"

namespace fastvlm::train {
namespace {

std::string Shape(const Tensor& tensor) {
  std::string text = "[";
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", tensor.size(i));
  }
  return text + "]";
}

// The tensors of a model below a prefix of their names. They have been checked: all are there.
class Source {
 public:
  Source(const std::map<std::string, Tensor>& tensors, std::string prefix)
      : tensors_(tensors), prefix_(std::move(prefix)) {}

  Source In(const std::string& name) const { return {tensors_, prefix_ + name + "."}; }
  const Tensor& At(const std::string& name) const { return tensors_.at(prefix_ + name); }
  void To(const std::string& name, const Tensor& value) const {
    value.copy_(At(name).view(value.sizes()));
  }

 private:
  const std::map<std::string, Tensor>& tensors_;
  std::string prefix_;
};

// A normalisation that adds `bias` and changes nothing else.
void SetNorm(const Tensor& bias, BatchNormLayer* norm) {
  norm->gain.fill_(1);
  norm->bias.copy_(bias);
  norm->running_mean.zero_();
  norm->running_variance.fill_(1 - kBatchNormEps);
}

// [out, 1, kernel, kernel] -> [kernel, kernel, out]
Tensor FromOihw(const Tensor& weight) { return weight.squeeze(1).permute({1, 2, 0}); }

void ReadConv(const Source& source, RepConv* conv) {
  const Tensor& weight = source.At("reparam_conv.weight");
  switch (conv->shape.kind) {
    case ConvKind::kStem:
      conv->weight.copy_(weight.permute({2, 3, 1, 0}).reshape(conv->weight.sizes()));
      break;
    case ConvKind::kDepthwise:
      conv->weight.copy_(FromOihw(weight));
      break;
    case ConvKind::kPointwise:
      conv->weight.copy_(weight.view(conv->weight.sizes()));
      break;
  }
  SetNorm(source.At("reparam_conv.bias"), conv->norm.get());
}

void ReadResidual(const Source& source, ResidualDepthwise* layer) {
  layer->weight.copy_(FromOihw(source.At("reparam_conv.weight")));
  const int64_t middle = layer->weight.size(0) / 2;
  layer->weight.select(0, middle).select(0, middle).sub_(1);  // the residual
  source.To("reparam_conv.bias", layer->bias);
}

void ReadFfn(const Source& source, ConvFfn* ffn) {
  ffn->conv.copy_(FromOihw(source.At("conv.conv.weight")));
  const Source norm = source.In("conv.bn");
  norm.To("weight", ffn->norm->gain);
  norm.To("bias", ffn->norm->bias);
  norm.To("running_mean", ffn->norm->running_mean);
  norm.To("running_var", ffn->norm->running_variance);
  source.To("fc1.weight", ffn->fc1_weight);
  source.To("fc1.bias", ffn->fc1_bias);
  source.To("fc2.weight", ffn->fc2_weight);
  source.To("fc2.bias", ffn->fc2_bias);
}

void ReadStage(const Source& source, Stage* stage) {
  if (stage->downsample) {
    ReadConv(source.In("downsample.proj.0"), stage->downsample->conv.get());
    ReadConv(source.In("downsample.proj.1"), stage->downsample->pointwise.get());
  }
  if (stage->position) ReadResidual(source.In("pos_emb"), stage->position.get());
  for (size_t i = 0; i < stage->rep_mixer_blocks.size(); ++i) {
    RepMixerBlock& block = *stage->rep_mixer_blocks[i];
    const Source from = source.In(fmt::format("blocks.{}", i));
    ReadResidual(from.In("token_mixer"), block.mixer.get());
    ReadFfn(from.In("mlp"), block.ffn.get());
    from.To("layer_scale.gamma", block.layer_scale);
  }
  for (size_t i = 0; i < stage->attention_blocks.size(); ++i) {
    AttentionBlock& block = *stage->attention_blocks[i];
    const Source from = source.In(fmt::format("blocks.{}", i));
    from.To("norm.weight", block.norm_gain);
    from.To("norm.bias", block.norm_bias);
    from.To("token_mixer.qkv.weight", block.qkv_weight);
    from.To("token_mixer.proj.weight", block.projection_weight);
    from.To("token_mixer.proj.bias", block.projection_bias);
    from.To("layer_scale_1.gamma", block.layer_scale_1);
    ReadFfn(from.In("mlp"), block.ffn.get());
    from.To("layer_scale_2.gamma", block.layer_scale_2);
  }
}

void ReadDecoder(const Source& source, Decoder* decoder) {
  source.To("embed_tokens.weight", decoder->embedding);
  source.To("norm.weight", decoder->final_norm);
  for (size_t i = 0; i < decoder->layers.size(); ++i) {
    DecoderLayer& layer = *decoder->layers[i];
    const Source from = source.In(fmt::format("layers.{}", i));
    from.To("input_layernorm.weight", layer.input_norm);
    from.To("self_attn.q_proj.weight", layer.q_weight);
    from.To("self_attn.q_proj.bias", layer.q_bias);
    from.To("self_attn.k_proj.weight", layer.k_weight);
    from.To("self_attn.k_proj.bias", layer.k_bias);
    from.To("self_attn.v_proj.weight", layer.v_weight);
    from.To("self_attn.v_proj.bias", layer.v_bias);
    from.To("self_attn.o_proj.weight", layer.o_weight);
    from.To("post_attention_layernorm.weight", layer.post_norm);
    from.To("mlp.gate_proj.weight", layer.gate_weight);
    from.To("mlp.up_proj.weight", layer.up_weight);
    from.To("mlp.down_proj.weight", layer.down_weight);
  }
}

// Whether the tensors are those that the network would give itself, no more and no fewer.
Status CheckTensors(const std::map<std::string, Tensor>& tensors, const Network& network) {
  std::set<std::string> known;
  for (const auto& [name, expected] : FusedTensors(network)) {
    known.insert(name);
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      return Error(StatusCode::kDataError, "the recipe's network has a tensor {} {}, it does not",
                   name, Shape(expected));
    }
    if (found->second.sizes() != expected.sizes()) {
      return Error(StatusCode::kDataError, "{} is {}, the recipe's network has {}", name,
                   Shape(found->second), Shape(expected));
    }
    if (!found->second.isfinite().all().item<bool>()) {
      return Error(StatusCode::kDataError, "{} has values that are not finite; it is damaged",
                   name);
    }
    if (name.ends_with("running_var") && found->second.min().item<float>() < 0) {
      return Error(StatusCode::kDataError, "{} has variances below 0; it is damaged", name);
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!known.contains(name) && !name.ends_with("num_batches_tracked")) {
      return Error(StatusCode::kDataError, "it has a tensor {}, the recipe's network does not",
                   name);
    }
  }
  return {};
}

}  // namespace

Status LoadFusedTensors(const std::map<std::string, Tensor>& tensors, Network* network) {
  if (network->config.multi_branch) {
    return Error(StatusCode::kUnsupported,
                 "an exported model has no branches left; set \"multi_branch\" to false");
  }
  const torch::NoGradGuard no_grad;
  FASTVLM_RETURN_IF_ERROR(CheckTensors(tensors, *network));
  const Source model(tensors, "model.");
  const Source vision = model.In("vision_tower.timm_model");
  Encoder& encoder = *network->encoder;
  for (size_t i = 0; i < encoder.stem.size(); ++i) {
    ReadConv(vision.In(fmt::format("stem.{}", i)), encoder.stem[i].get());
  }
  for (size_t i = 0; i < encoder.stages.size(); ++i) {
    ReadStage(vision.In(fmt::format("stages.{}", i)), encoder.stages[i].get());
  }
  const Source last = vision.In("final_conv");
  ReadConv(last, encoder.expand.get());
  last.To("se.fc1.weight", encoder.squeeze_excite->reduce_weight);
  last.To("se.fc1.bias", encoder.squeeze_excite->reduce_bias);
  last.To("se.fc2.weight", encoder.squeeze_excite->expand_weight);
  last.To("se.fc2.bias", encoder.squeeze_excite->expand_bias);
  const Source projector = model.In("multi_modal_projector");
  projector.To("linear_1.weight", network->project_1_weight);
  projector.To("linear_1.bias", network->project_1_bias);
  projector.To("linear_2.weight", network->project_2_weight);
  projector.To("linear_2.bias", network->project_2_bias);
  ReadDecoder(model.In("language_model"), network->decoder.get());
  return {};
}

}  // namespace fastvlm::train
