// Small random FastVLM checkpoints in both published layouts, without any of the reader's code.
#ifndef FASTVLM_TESTS_SUPPORT_TINY_CHECKPOINT_H_
#define FASTVLM_TESTS_SUPPORT_TINY_CHECKPOINT_H_

#include <cstdint>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "support/random.h"
#include "support/safetensors_writer.h"
#include "support/temporary_directory.h"

namespace fastvlm {

struct TinyStage {
  int64_t channels, blocks, ffn_channels;
  bool attention = false;
  bool position = false;
};

struct TinyModel {
  std::vector<TinyStage> stages = {{8, 2, 16}, {16, 1, 64}, {32, 2, 96, true, true}};
  int64_t features = 64, squeezed = 4;
  int64_t hidden = 28, layers = 2, heads = 14, kv_heads = 2, intermediate = 40, vocab = 50;
  bool tied = true;
  bool stored_head = true;
  int64_t image_size = 64;  // pixels
  std::string dtype = "BF16";

  int64_t stride() const { return int64_t{4} << (stages.size() - 1); }
};

// Builds the tensors of Apple's layout. Values are multiples of 1/64 in [-1, 1], exact in every
// dtype; variances are in [0.5, 1.5].
class AppleTensorBuilder {
 public:
  explicit AppleTensorBuilder(const TinyModel& model) : model_(model) {}

  TestTensors Build() {
    Vision();
    Projector();
    Decoder();
    return std::move(tensors_);
  }

 private:
  void Add(const std::string& name, std::vector<int64_t> shape, float offset = 0, int range = 64) {
    TestTensor tensor{.dtype = model_.dtype, .shape = std::move(shape), .values = {}};
    tensor.values.resize(static_cast<size_t>(tensor.elements()));
    for (float& v : tensor.values) {
      v = offset + static_cast<float>(random_.Integer(-range, range)) / 64;
    }
    tensors_[name] = std::move(tensor);
  }
  void AddBoth(const std::string& name, std::vector<int64_t> shape) {
    const int64_t out = shape[0];
    Add(name + ".weight", std::move(shape));
    Add(name + ".bias", {out});
  }

  void Ffn(const std::string& name, const TinyStage& stage) {
    const int64_t c = stage.channels;
    Add(name + ".conv.conv.weight", {c, 1, 7, 7});
    AddBoth(name + ".conv.bn", {c});
    Add(name + ".conv.bn.running_mean", {c});
    Add(name + ".conv.bn.running_var", {c}, 1, 32);
    tensors_[name + ".conv.bn.num_batches_tracked"] =
        TestTensor{.dtype = "I64", .shape = {}, .values = {}};
    AddBoth(name + ".fc1", {stage.ffn_channels, c, 1, 1});
    AddBoth(name + ".fc2", {c, stage.ffn_channels, 1, 1});
  }

  void Block(const std::string& name, const TinyStage& stage) {
    const int64_t c = stage.channels;
    if (stage.attention) {
      AddBoth(name + ".norm", {c});
      Add(name + ".token_mixer.qkv.weight", {3 * c, c});
      AddBoth(name + ".token_mixer.proj", {c, c});
      Add(name + ".layer_scale_1", {c, 1, 1});
      Add(name + ".layer_scale_2", {c, 1, 1});
    } else {
      AddBoth(name + ".token_mixer.reparam_conv", {c, 1, 3, 3});
      Add(name + ".layer_scale", {c, 1, 1});
    }
    Ffn(name + ".convffn", stage);
  }

  void Vision() {
    const std::string vision = "model.vision_tower.vision_tower.model.";
    const int64_t stem = model_.stages[0].channels;
    AddBoth(vision + "patch_embed.0.reparam_conv", {stem, 3, 3, 3});
    AddBoth(vision + "patch_embed.1.reparam_conv", {stem, 1, 3, 3});
    AddBoth(vision + "patch_embed.2.reparam_conv", {stem, stem, 1, 1});
    int index = 0;
    for (size_t s = 0; s < model_.stages.size(); ++s) {
      const TinyStage& stage = model_.stages[s];
      const auto next = [&] { return fmt::format("{}network.{}.", vision, index++); };
      if (s > 0) {
        const std::string down = next();
        AddBoth(down + "proj.0.lkb_reparam", {stage.channels, 1, 7, 7});
        AddBoth(down + "proj.1.reparam_conv", {stage.channels, stage.channels, 1, 1});
      }
      if (stage.position) AddBoth(next() + "reparam_conv", {stage.channels, 1, 7, 7});
      const std::string blocks = next();
      for (int64_t b = 0; b < stage.blocks; ++b) Block(blocks + std::to_string(b), stage);
    }
    AddBoth(vision + "conv_exp.reparam_conv", {model_.features, 1, 3, 3});
    AddBoth(vision + "conv_exp.se.reduce", {model_.squeezed, model_.features, 1, 1});
    AddBoth(vision + "conv_exp.se.expand", {model_.features, model_.squeezed, 1, 1});
    Add(vision + "head.proj", {model_.features, 12});
  }

  void Projector() {
    AddBoth("model.mm_projector.0", {model_.hidden, model_.features});
    AddBoth("model.mm_projector.2", {model_.hidden, model_.hidden});
  }

  void Decoder() {
    const int64_t hidden = model_.hidden;
    const int64_t kv = hidden / model_.heads * model_.kv_heads;
    Add("model.embed_tokens.weight", {model_.vocab, hidden});
    Add("model.norm.weight", {hidden});
    for (int64_t i = 0; i < model_.layers; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i);
      Add(layer + "input_layernorm.weight", {hidden});
      AddBoth(layer + "self_attn.q_proj", {hidden, hidden});
      AddBoth(layer + "self_attn.k_proj", {kv, hidden});
      AddBoth(layer + "self_attn.v_proj", {kv, hidden});
      Add(layer + "self_attn.o_proj.weight", {hidden, hidden});
      Add(layer + "post_attention_layernorm.weight", {hidden});
      Add(layer + "mlp.gate_proj.weight", {model_.intermediate, hidden});
      Add(layer + "mlp.up_proj.weight", {model_.intermediate, hidden});
      Add(layer + "mlp.down_proj.weight", {hidden, model_.intermediate});
    }
    if (model_.tied && model_.stored_head) {
      tensors_["lm_head.weight"] = tensors_["model.embed_tokens.weight"];
    } else if (!model_.tied) {
      Add("lm_head.weight", {model_.vocab, hidden});
    }
  }

  const TinyModel& model_;
  TestRandom random_;
  TestTensors tensors_;
};

inline TestTensors AppleTensors(const TinyModel& model) {
  return AppleTensorBuilder(model).Build();
}

// The same tensors under transformers' names. There a stage begins with its downsampling.
inline TestTensors FastVlmTensors(const TinyModel& model) {
  std::vector<std::string> stage_of;  // by index in Apple's `network`
  for (size_t s = 0; s < model.stages.size(); ++s) {
    const int modules = 1 + (s > 0 ? 1 : 0) + (model.stages[s].position ? 1 : 0);
    for (int i = 0; i < modules; ++i) stage_of.push_back(fmt::format("stages.{}.", s));
  }
  const std::vector<std::pair<std::regex, std::string>> renames = {
      {std::regex(R"(proj\.([01])\.(lkb_reparam|reparam_conv)\.)"),
       "downsample.proj.$1.reparam_conv."},
      {std::regex(R"(^reparam_conv\.)"), "pos_emb.reparam_conv."},
      {std::regex(R"(^(\d+\..*layer_scale.*))"), "$1.gamma"},
      {std::regex(R"(^(\d+)\.)"), "blocks.$1."},
      {std::regex("convffn"), "mlp"}};
  const std::vector<std::pair<std::regex, std::string>> renames_outside = {
      {std::regex("^patch_embed"), "stem"},
      {std::regex("^conv_exp"), "final_conv"},
      {std::regex("se.reduce"), "se.fc1"},
      {std::regex("se.expand"), "se.fc2"}};
  const std::regex network(R"(^model\.vision_tower\.vision_tower\.model\.network\.(\d+)\.(.*))");
  const std::regex vision(R"(^model\.vision_tower\.vision_tower\.model\.(.*))");
  const std::string timm = "model.vision_tower.timm_model.";

  TestTensors result;
  for (const auto& [name, tensor] : AppleTensors(model)) {
    std::smatch match;
    std::string renamed = name;
    if (std::regex_match(name, match, network)) {
      renamed = match[2];
      for (const auto& [from, to] : renames) renamed = std::regex_replace(renamed, from, to);
      renamed = timm + stage_of[std::stoul(match[1])] + renamed;
    } else if (std::regex_match(name, match, vision)) {
      renamed = match[1];
      if (renamed == "head.proj") continue;
      for (const auto& [from, to] : renames_outside) {
        renamed = std::regex_replace(renamed, from, to);
      }
      renamed = timm + renamed;
    } else if (name.starts_with("model.mm_projector.")) {
      renamed = std::regex_replace(name, std::regex(R"(mm_projector\.0)"),
                                   "multi_modal_projector.linear_1");
      renamed = std::regex_replace(renamed, std::regex(R"(mm_projector\.2)"),
                                   "multi_modal_projector.linear_2");
    } else if (name != "lm_head.weight") {
      renamed = std::regex_replace(name, std::regex("^model"), "model.language_model");
    }
    result[renamed] = tensor;
  }
  return result;
}

// The fields of Qwen2Config without braces.
inline std::string TinyDecoderFields(const TinyModel& model) {
  return fmt::format(
      R"("hidden_size": {}, "num_hidden_layers": {}, "num_attention_heads": {}, )"
      R"("num_key_value_heads": {}, "intermediate_size": {}, "vocab_size": {}, )"
      R"("max_position_embeddings": 32768, "hidden_act": "silu", "rms_norm_eps": 1e-06, )"
      R"("rope_theta": 1000000.0, "use_sliding_window": false, "tie_word_embeddings": {})",
      model.hidden, model.layers, model.heads, model.kv_heads, model.intermediate, model.vocab,
      model.tied);
}

inline std::string AppleConfig(const TinyModel& model) {
  return fmt::format(
      R"({{"model_type": "llava_qwen2", "mm_projector_type": "mlp2x_gelu", )"
      R"("mm_vision_tower": "mobileclip_tiny_{}", "mm_hidden_size": {}, )"
      R"("mm_use_im_start_end": false, "tokenizer_model_max_length": 8192, "eos_token_id": 45, {}}})",
      model.image_size, model.features, TinyDecoderFields(model));
}

inline std::string FastVlmConfig(const TinyModel& model) {
  const int64_t side = model.image_size / model.stride();
  return fmt::format(
      R"({{"model_type": "fast_vlm", "projector_hidden_act": "gelu", "image_seq_length": {}, )"
      R"("vision_config": {{"model_type": "timm_wrapper", "architecture": "fastvit_mci3"}}, )"
      R"("text_config": {{"model_type": "qwen2", "eos_token_id": 45, {}}}}})",
      side * side, TinyDecoderFields(model));
}

inline void WriteAppleCheckpoint(const TemporaryDirectory& directory, const TinyModel& model) {
  directory.Write("config.json", AppleConfig(model));
  directory.Write("model.safetensors", EncodeSafetensors(AppleTensors(model)));
}

inline void WriteFastVlmCheckpoint(const TemporaryDirectory& directory, const TinyModel& model) {
  directory.Write("config.json", FastVlmConfig(model));
  directory.Write("model.safetensors", EncodeSafetensors(FastVlmTensors(model)));
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_TINY_CHECKPOINT_H_
