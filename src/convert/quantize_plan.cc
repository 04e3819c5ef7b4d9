#include "convert/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/printable.h"

namespace fastvlm {
namespace {

Dtype DtypeOf(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return Dtype::kF32;
    case WeightFormat::kF16:
      return Dtype::kF16;
    case WeightFormat::kBf16:
      return Dtype::kBf16;
    case WeightFormat::kQ8:
      return Dtype::kQ80;
    case WeightFormat::kQ4:
      return Dtype::kQ40;
  }
  return Dtype::kF32;
}

// The type that holds a tensor's values exactly.
Dtype ExactDtype(Dtype dtype) {
  return dtype == Dtype::kF16 || dtype == Dtype::kBf16 ? dtype : Dtype::kF32;
}

class Planner {
 public:
  // Without `fill_up`, rows that are no whole number of blocks stay as they are.
  explicit Planner(bool fill_up) : fill_up_(fill_up) {}

  // Matrices that are BF16 whatever is said later.
  void Keep(const std::string& name) { kept_.insert(name); }

  std::vector<PlannedTensor> Take() { return std::move(tensors_); }

  void Matrix(const std::string& name, const Tensor& source, Dtype dtype) {
    PlannedTensor tensor;
    tensor.name = name;
    tensor.rows = source.shape[0];
    tensor.k = source.row_elements();
    if (kept_.contains(name)) dtype = Dtype::kBf16;
    if (tensor.k % BlockValues(dtype) != 0 && !fill_up_) dtype = ExactDtype(source.dtype);
    tensor.dtype = dtype;
    const int64_t block = BlockValues(dtype);
    tensor.shape = {tensor.rows, (tensor.k + block - 1) / block * block};
    tensor.source = &source;
    tensors_.push_back(std::move(tensor));
  }

  void Values(const std::string& name, std::vector<float> values, std::vector<int64_t> shape) {
    PlannedTensor tensor;
    tensor.name = name;
    tensor.k = static_cast<int64_t>(values.size());
    tensor.shape = std::move(shape);
    tensor.values = std::move(values);
    tensors_.push_back(std::move(tensor));
  }
  void Vector(const std::string& name, const std::vector<float>& values) {
    Values(name, values, {static_cast<int64_t>(values.size())});
  }

  void Linear(const std::string& name, const LinearTensors& linear, Dtype dtype) {
    Matrix(name + ".weight", linear.weight, dtype);
    if (!linear.bias.empty()) Vector(name + ".bias", linear.bias);
  }

  // [kernel, kernel, out] -> [out, 1, kernel, kernel], as published files have it.
  void Depthwise(const std::string& name, const DepthwiseTensors& conv) {
    std::vector<float> weight(conv.weight.size());
    const int64_t taps = int64_t{conv.kernel} * conv.kernel;
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t o = 0; o < conv.out; ++o) {
        weight[static_cast<size_t>(o * taps + tap)] =
            conv.weight[static_cast<size_t>(tap * conv.out + o)];
      }
    }
    Values(name + ".weight", std::move(weight), {conv.out, 1, conv.kernel, conv.kernel});
    Vector(name + ".bias", conv.bias);
  }

  void Ffn(const std::string& block, const char* layer_scale, const ConvFfnTensors& ffn,
           Dtype dtype) {
    Depthwise(block + ".ffn.conv", ffn.conv);
    Linear(block + ".ffn.fc1", ffn.fc1, dtype);
    Linear(block + ".ffn.fc2", ffn.fc2, dtype);
    LayerScale(block + layer_scale, ffn.layer_scale);
  }

  void LayerScale(const std::string& name, const std::vector<float>& values) {
    Values(name, values, {static_cast<int64_t>(values.size()), 1, 1});
  }

 private:
  bool fill_up_;
  std::set<std::string> kept_;
  std::vector<PlannedTensor> tensors_;
};

// [3, 3, 3, channels]: ky, kx, input channel, output channel -> [channels, 3, 3, 3], as published.
std::vector<float> StemWeight(const std::vector<float>& weight) {
  const size_t channels = weight.size() / 27;
  std::vector<float> result(weight.size());
  for (size_t tap = 0; tap < 9; ++tap) {
    for (size_t input = 0; input < 3; ++input) {
      for (size_t c = 0; c < channels; ++c) {
        result[(c * 3 + input) * 9 + tap] = weight[(tap * 3 + input) * channels + c];
      }
    }
  }
  return result;
}

void PlanStage(Planner* plan, const std::string& stage, const StageTensors& tensors, Dtype dtype) {
  if (tensors.downsample) {
    plan->Depthwise(stage + ".downsample.conv", tensors.downsample->conv);
    plan->Linear(stage + ".downsample.pointwise", tensors.downsample->pointwise, dtype);
  }
  if (tensors.position) plan->Depthwise(stage + ".position", *tensors.position);
  int index = 0;
  for (const RepMixerTensors& block : tensors.rep_mixer_blocks) {
    const std::string name = fmt::format("{}.blocks.{}", stage, index++);
    plan->Depthwise(name + ".mixer", block.mixer);
    plan->Ffn(name, ".layer_scale", block.ffn, dtype);
  }
  for (const AttentionTensors& block : tensors.attention_blocks) {
    const std::string name = fmt::format("{}.blocks.{}", stage, index++);
    plan->Vector(name + ".norm.weight", block.norm_gain);
    plan->Vector(name + ".norm.bias", block.norm_bias);
    plan->Linear(name + ".qkv", block.qkv, dtype);
    plan->Linear(name + ".projection", block.projection, dtype);
    plan->LayerScale(name + ".layer_scale_1", block.layer_scale);
    plan->Ffn(name, ".layer_scale_2", block.ffn, dtype);
  }
}

// Source: LLAMA_FTYPE_* in llama.h.
uint32_t FileTypeNumber(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 0;
    case WeightFormat::kF16:
      return 1;
    case WeightFormat::kBf16:
      return 32;
    case WeightFormat::kQ8:
      return 7;
    case WeightFormat::kQ4:
      return 2;
  }
  return 0;
}

struct TokenList {
  std::vector<std::string> tokens;  // by id, as many as the embedding has rows
  std::vector<int32_t> types;       // enum llama_token_type in llama.h
};

Result<TokenList> ListTokens(const Vocabulary& vocabulary, int64_t rows) {
  constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;
  TokenList list;
  for (int64_t id = 0; id < rows; ++id) list.tokens.push_back(fmt::format("[PAD{}]", id));
  list.types.assign(static_cast<size_t>(rows), kUnused);
  const auto set = [&](int32_t id, const std::string& content, int32_t type) -> Status {
    if (id < 0 || id >= rows) {
      return Error(StatusCode::kDataError,
                   "token {} has id {}, but the embedding only {} rows; do the files belong "
                   "together?",
                   Quoted(content), id, rows);
    }
    list.tokens[static_cast<size_t>(id)] = content;
    list.types[static_cast<size_t>(id)] = type;
    return {};
  };
  for (const auto& [spelling, id] : vocabulary.tokens) {
    FASTVLM_RETURN_IF_ERROR(set(id, spelling, kNormal));
  }
  for (const AddedToken& token : vocabulary.added_tokens) {
    FASTVLM_RETURN_IF_ERROR(set(token.id, token.content, token.special ? kControl : kUserDefined));
  }
  return list;
}

void SetSpecialTokens(const DecoderConfig& config, const Vocabulary& vocabulary,
                      GgufWriter* writer) {
  // llama.cpp ends answers at one token, and a chat's is <|im_end|>.
  int32_t end = config.eos_ids.empty() ? -1 : config.eos_ids.front();
  for (const AddedToken& token : vocabulary.added_tokens) {
    const auto id = static_cast<uint32_t>(token.id);
    if (token.content == "<|im_end|>") end = token.id;
    if (token.content != "<|endoftext|>") continue;
    writer->SetUint32("tokenizer.ggml.bos_token_id", id);
    writer->SetUint32("tokenizer.ggml.padding_token_id", id);
  }
  if (end >= 0) writer->SetUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(end));
  writer->SetBool("tokenizer.ggml.add_bos_token", false);
  writer->SetInt32s("fastvlm.eos_token_ids", config.eos_ids);
}

void SetCalibration(const Calibration& calibration, GgufWriter* writer) {
  writer->SetUint32("fastvlm.calibration.version", 1);
  writer->SetFloat64("fastvlm.calibration.target", calibration.target);
  writer->SetFloat64("fastvlm.calibration.cosine_quantized", calibration.cosine_quantized);
  writer->SetFloat64("fastvlm.calibration.cosine_mean", calibration.cosine_mean);
  writer->SetFloat64("fastvlm.calibration.cosine_worst", calibration.cosine_worst);
  writer->SetUint32("fastvlm.calibration.pictures", static_cast<uint32_t>(calibration.pictures));
  std::vector<std::string> tensors;
  std::vector<double> losses;
  for (const Calibration::Kept& kept : calibration.kept) {
    tensors.push_back(kept.tensor);
    losses.push_back(kept.loss);
  }
  writer->SetStrings("fastvlm.calibration.kept", tensors);
  writer->SetFloat64s("fastvlm.calibration.kept_loss", losses);
}

}  // namespace

int64_t PlannedTensor::row_bytes() const {
  return (k + BlockValues(dtype) - 1) / BlockValues(dtype) * BlockBytes(dtype);
}

std::vector<PlannedTensor> PlanDecoder(const Checkpoint& checkpoint, WeightFormat format) {
  const DecoderTensors& tensors = checkpoint.tensors().decoder;
  const Dtype layers = DtypeOf(format);
  const Dtype vocabulary = format == WeightFormat::kQ4 ? Dtype::kQ80 : layers;
  Planner plan(/*fill_up=*/false);
  plan.Matrix("token_embd.weight", tensors.embedding, vocabulary);
  int index = 0;
  for (const DecoderLayerTensors& layer : tensors.layers) {
    const std::string block = fmt::format("blk.{}.", index++);
    plan.Vector(block + "attn_norm.weight", layer.input_norm);
    plan.Linear(block + "attn_q", layer.q, layers);
    plan.Linear(block + "attn_k", layer.k, layers);
    plan.Linear(block + "attn_v", layer.v, layers);
    plan.Linear(block + "attn_output", layer.o, layers);
    plan.Vector(block + "ffn_norm.weight", layer.post_attention_norm);
    plan.Linear(block + "ffn_gate", layer.gate, layers);
    plan.Linear(block + "ffn_up", layer.up, layers);
    plan.Linear(block + "ffn_down", layer.down, layers);
  }
  plan.Vector("output_norm.weight", tensors.final_norm);
  if (!checkpoint.config().decoder.tied_embeddings) {
    plan.Matrix("output.weight", tensors.head, vocabulary);
  }
  return plan.Take();
}

std::vector<PlannedTensor> PlanVision(const Checkpoint& checkpoint, WeightFormat format,
                                      const Calibration* calibration) {
  const VisionTensors& tensors = checkpoint.tensors().vision;
  const Dtype dtype = DtypeOf(format);
  Planner plan(/*fill_up=*/true);
  if (calibration != nullptr) {
    for (const Calibration::Kept& kept : calibration->kept) plan.Keep(kept.tensor);
  }
  const auto channels = static_cast<int64_t>(tensors.stem_conv_bias.size());
  plan.Values("vision.stem.0.weight", StemWeight(tensors.stem_conv), {channels, 3, 3, 3});
  plan.Vector("vision.stem.0.bias", tensors.stem_conv_bias);
  plan.Depthwise("vision.stem.1", tensors.stem_depthwise);
  plan.Linear("vision.stem.2", tensors.stem_pointwise, dtype);
  int index = 0;
  for (const StageTensors& stage : tensors.stages) {
    PlanStage(&plan, fmt::format("vision.stages.{}", index++), stage, dtype);
  }
  plan.Depthwise("vision.expand", tensors.expand);
  // Two small layers that work on averages: exact, as at every precision.
  plan.Linear("vision.squeeze", tensors.squeeze, ExactDtype(tensors.squeeze.weight.dtype));
  plan.Linear("vision.excite", tensors.excite, ExactDtype(tensors.excite.weight.dtype));
  const ProjectorTensors& projector = checkpoint.tensors().projector;
  plan.Linear("projector.first", projector.first, dtype);
  plan.Linear("projector.second", projector.second, dtype);
  return plan.Take();
}

Status SetDecoderMetadata(const Checkpoint& checkpoint, const Vocabulary& vocabulary,
                          const std::string& name, const std::string& chat_template,
                          WeightFormat format, GgufWriter* writer) {
  const DecoderConfig& config = checkpoint.config().decoder;
  FASTVLM_ASSIGN_OR_RETURN(const TokenList list, ListTokens(vocabulary, config.vocab_rows));
  const auto set = [&](const char* key, int64_t value) {
    writer->SetUint32(key, static_cast<uint32_t>(value));
  };
  writer->SetString("general.architecture", "qwen2");
  writer->SetString("general.type", "model");
  writer->SetString("general.name", name);
  set("general.file_type", FileTypeNumber(format));
  set("general.quantization_version", 2);
  set("qwen2.block_count", config.layers);
  set("qwen2.context_length", config.max_positions);
  set("qwen2.embedding_length", config.hidden);
  set("qwen2.feed_forward_length", config.intermediate);
  set("qwen2.attention.head_count", config.heads);
  set("qwen2.attention.head_count_kv", config.kv_heads);
  set("qwen2.attention.key_length", config.head_dim);
  set("qwen2.attention.value_length", config.head_dim);
  writer->SetFloat32("qwen2.rope.freq_base", static_cast<float>(config.rope_theta));
  writer->SetFloat32("qwen2.attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  set("fastvlm.context_length", config.context_tokens);

  writer->SetString("tokenizer.ggml.model", "gpt2");
  writer->SetString("tokenizer.ggml.pre", "qwen2");
  writer->SetStrings("tokenizer.ggml.tokens", list.tokens);
  writer->SetInt32s("tokenizer.ggml.token_type", list.types);
  std::vector<std::string> merges;
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back(fmt::format("{} {}", left, right));
  }
  writer->SetStrings("tokenizer.ggml.merges", merges);
  SetSpecialTokens(config, vocabulary, writer);
  writer->SetString("tokenizer.chat_template", chat_template);
  return {};
}

void SetVisionMetadata(const Checkpoint& checkpoint, const std::string& name, WeightFormat format,
                       const Calibration* calibration, GgufWriter* writer) {
  const ModelConfig& config = checkpoint.config();
  const auto set = [&](const char* key, int64_t value) {
    writer->SetUint32(key, static_cast<uint32_t>(value));
  };
  writer->SetString("general.architecture", "clip");
  writer->SetString("general.type", "mmproj");
  writer->SetString("general.name", name);
  set("general.file_type", FileTypeNumber(format));
  set("general.quantization_version", 2);
  writer->SetBool("clip.has_vision_encoder", true);
  writer->SetString("clip.projector_type", "fastvlm");
  set("clip.vision.image_size", config.vision.image_size);
  set("clip.vision.patch_size", config.vision.stride());
  set("clip.vision.embedding_length", config.vision.feature_channels);
  set("clip.vision.projection_dim", config.decoder.hidden);
  writer->SetFloat32s("clip.vision.image_mean", std::vector<float>{0, 0, 0});
  writer->SetFloat32s("clip.vision.image_std", std::vector<float>{1, 1, 1});
  set("fastvlm.version", 1);
  set("fastvlm.vision.head_dim", config.vision.head_dim);
  writer->SetString("fastvlm.vision.fit", "pad");
  writer->SetString("fastvlm.vision.resample", "bicubic");
  std::vector<uint32_t> blocks, channels;
  for (const StageConfig& stage : config.vision.stages) {
    blocks.push_back(static_cast<uint32_t>(stage.blocks));
    channels.push_back(static_cast<uint32_t>(stage.channels));
  }
  writer->SetUint32s("fastvlm.vision.stage_blocks", blocks);
  writer->SetUint32s("fastvlm.vision.stage_channels", channels);
  if (calibration != nullptr) SetCalibration(*calibration, writer);
}

}  // namespace fastvlm
