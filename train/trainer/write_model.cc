#include "train/trainer/write_model.h"

#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"
#include "base/float16.h"
#include "checkpoint/safetensors_writer.h"
#include "train/nn/fused_tensors.h"

namespace fastvlm::train {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMaxTokenizerFile = size_t{64} << 20;

Status WriteText(const std::string& path, const std::string& text) {
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(path, {&bytes, 1});
}

Status WriteJson(const std::string& path, const ordered_json& object) {
  return WriteText(path, object.dump(2) + "\n");
}

int32_t TokenId(const Tokenizer& tokenizer, const char* spelling) {
  return tokenizer.TokenId(spelling).value_or(-1);
}

// timm's fastvit_mci3 with our widths and depths. Its positional encodings stand before stages 4
// and 5 whatever the arguments say, which is where a network with attention has them.
ordered_json VisionConfig(const NetworkConfig& config) {
  ordered_json arguments;
  arguments["inference_mode"] = true;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const StageShape& stage = config.stages[i];
    arguments["embed_dims"].push_back(stage.channels);
    arguments["layers"].push_back(stage.blocks);
    arguments["mlp_ratios"].push_back(stage.ffn_ratio);
    arguments["downsamples"].push_back(i > 0);
    arguments["se_downsamples"].push_back(false);
    arguments["token_mixers"].push_back(stage.attention ? "attention" : "repmixer");
  }
  return {{"model_type", "timm_wrapper"},
          {"architecture", "fastvit_mci3"},
          {"do_pooling", true},
          {"global_pool", "avg"},
          {"hidden_size", config.features()},
          {"initializer_range", 0.02},
          {"model_args", arguments}};
}

ordered_json TextConfig(const NetworkConfig& config, const Tokenizer& tokenizer) {
  return {{"model_type", "qwen2"},
          {"hidden_size", config.hidden},
          {"intermediate_size", config.intermediate},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"num_key_value_heads", config.kv_heads},
          {"hidden_act", "silu"},
          {"max_position_embeddings", config.max_positions},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", config.rope_theta}}},
          {"tie_word_embeddings", true},
          {"use_sliding_window", false},
          {"vocab_size", config.vocabulary},
          {"bos_token_id", TokenId(tokenizer, "<|endoftext|>")},
          {"eos_token_id", TokenId(tokenizer, "<|im_end|>")},
          {"pad_token_id", TokenId(tokenizer, "<|endoftext|>")}};
}

Status WriteConfigs(const NetworkConfig& config, const Tokenizer& tokenizer,
                    ExportPrecision precision, const std::string& directory) {
  const int64_t side = config.image_size / config.stride();
  const int32_t end = TokenId(tokenizer, "<|im_end|>");
  const ordered_json model = {{"architectures", {"FastVlmForConditionalGeneration"}},
                              {"model_type", "fast_vlm"},
                              {"dtype", precision == ExportPrecision::kF16 ? "float16" : "float32"},
                              {"image_seq_length", side * side},
                              {"image_token_id", TokenId(tokenizer, "<image>")},
                              {"eos_token_id", end},
                              {"multimodal_projector_bias", true},
                              {"projector_hidden_act", "gelu"},
                              {"text_config", TextConfig(config, tokenizer)},
                              {"tie_word_embeddings", true},
                              {"vision_config", VisionConfig(config)},
                              {"vision_feature_layer", -1},
                              {"vision_feature_select_strategy", "full"}};
  FASTVLM_RETURN_IF_ERROR(WriteJson(directory + "/config.json", model));
  FASTVLM_RETURN_IF_ERROR(WriteJson(directory + "/generation_config.json",
                                    {{"do_sample", false},
                                     {"eos_token_id", end},
                                     {"pad_token_id", TokenId(tokenizer, "<|endoftext|>")}}));
  const ordered_json zero = {0.0, 0.0, 0.0}, one = {1.0, 1.0, 1.0};
  FASTVLM_RETURN_IF_ERROR(
      WriteJson(directory + "/preprocessor_config.json",
                {{"image_processor_type", "CLIPImageProcessor"},
                 {"do_convert_rgb", true},
                 {"do_resize", true},
                 {"size", {{"shortest_edge", config.image_size}}},
                 {"resample", 3},
                 {"do_center_crop", true},
                 {"crop_size", {{"height", config.image_size}, {"width", config.image_size}}},
                 {"do_rescale", true},
                 {"rescale_factor", 1.0 / 255},
                 {"do_normalize", true},
                 {"image_mean", zero},
                 {"image_std", one}}));
  return WriteJson(directory + "/processor_config.json",
                   {{"processor_class", "LlavaProcessor"},
                    {"image_token", "<image>"},
                    {"num_additional_image_tokens", 0},
                    {"patch_size", config.stride()},
                    {"vision_feature_select_strategy", nullptr}});
}

Status CopyTokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
                           "special_tokens_map.json", "chat_template.jinja"}) {
    FASTVLM_ASSIGN_OR_RETURN(const std::string text,
                             ReadTextFile(from + "/" + name, kMaxTokenizerFile));
    FASTVLM_RETURN_IF_ERROR(WriteText(to + "/" + name, text));
  }
  return {};
}

// The halves of a tensor's values, or an error that names it.
Result<std::vector<uint8_t>> ToHalf(const std::string& name, const Tensor& tensor) {
  const float* values = tensor.data_ptr<float>();
  std::vector<uint8_t> bytes(static_cast<size_t>(tensor.numel()) * 2);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const uint16_t half = F16FromF32(values[i]);
    if (!std::isfinite(F32FromF16(half))) {
      return Error(StatusCode::kDataError, "{}: the value {} does not fit f16; export as f32", name,
                   values[i]);
    }
    bytes[2 * static_cast<size_t>(i)] = static_cast<uint8_t>(half & 0xff);
    bytes[2 * static_cast<size_t>(i) + 1] = static_cast<uint8_t>(half >> 8);
  }
  return bytes;
}

Status WriteWeights(const Network& network, ExportPrecision precision, const std::string& path) {
  const auto tensors = FusedTensors(network);
  std::vector<OutputTensor> outputs;
  std::vector<std::vector<uint8_t>> halves;
  halves.reserve(tensors.size());  // outputs point into it
  for (const auto& [name, tensor] : tensors) {
    const bool vector = tensor.dim() == 1 || name.ends_with(".gamma");
    if (precision == ExportPrecision::kF16 && !vector) {
      FASTVLM_ASSIGN_OR_RETURN(std::vector<uint8_t> half, ToHalf(name, tensor));
      halves.push_back(std::move(half));
      outputs.push_back({name, Dtype::kF16, tensor.sizes().vec(), halves.back()});
    } else {
      outputs.push_back({name,
                         Dtype::kF32,
                         tensor.sizes().vec(),
                         {reinterpret_cast<const uint8_t*>(tensor.data_ptr<float>()),
                          static_cast<size_t>(tensor.numel()) * sizeof(float)}});
    }
  }
  // PyTorch keeps a counter in each batch normalisation that is left; nothing reads it.
  static constexpr uint8_t kZero[8] = {};
  for (const auto& [name, tensor] : tensors) {
    constexpr std::string_view kMean = "running_mean";
    if (!name.ends_with(kMean)) continue;
    const std::string module = name.substr(0, name.size() - kMean.size());
    outputs.push_back({module + "num_batches_tracked", Dtype::kI64, {}, kZero});
  }
  return WriteSafetensors(path, outputs);
}

}  // namespace

Status WriteModel(const Network& network, const Tokenizer& tokenizer,
                  const std::string& tokenizer_directory, ExportPrecision precision,
                  const std::string& directory) {
  if (mkdir(directory.c_str(), 0777) != 0 && !DirectoryExists(directory)) {
    return Error(StatusCode::kIoError, "{}: cannot make this directory", directory);
  }
  if (tokenizer_directory != directory) {
    FASTVLM_RETURN_IF_ERROR(CopyTokenizer(tokenizer_directory, directory));
  }
  FASTVLM_RETURN_IF_ERROR(WriteConfigs(network.config, tokenizer, precision, directory));
  return WriteWeights(network, precision, directory + "/model.safetensors");
}

}  // namespace fastvlm::train
