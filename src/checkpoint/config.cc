#include "checkpoint/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/json.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxTokenizerConfigBytes = size_t{16} << 20;
constexpr int64_t kPublishedImageSize = 1024;
constexpr int64_t kBicubic = 3;  // PIL.Image.Resampling

// The object in a companion of config.json, which need not exist.
Result<std::optional<json>> ReadCompanion(const std::string& path, size_t max_bytes) {
  if (!PathExists(path)) return std::optional<json>();
  FASTVLM_ASSIGN_OR_RETURN(json object, ReadJsonObject(path, max_bytes));
  return std::optional<json>(std::move(object));
}

// eos_token_id: absent, a number or a list of numbers. Adds those not yet in `ids`.
Status AppendEosIds(const JsonFields& fields, int64_t vocab_rows, std::vector<int32_t>* ids) {
  constexpr char kName[] = "eos_token_id";
  const json* value = fields.Find(kName);
  if (value == nullptr) return {};
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(vocab_rows)) {
      return fields.Wrong(kName, fmt::format("token ids from 0 to {}", vocab_rows - 1));
    }
    const auto token = id.get<int32_t>();
    if (std::find(ids->begin(), ids->end(), token) == ids->end()) ids->push_back(token);
  }
  return {};
}

// transformers 5 writes rope_parameters {rope_theta, rope_type}; before it, rope_theta was a field
// of its own, and rope_scaling {type or rope_type, ...} stood beside it for scaled variants.
Result<double> ReadRopeTheta(const JsonFields& text) {
  FASTVLM_ASSIGN_OR_RETURN(double theta, text.PositiveOr("rope_theta", 10000.0));
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    FASTVLM_ASSIGN_OR_RETURN(const auto rope, text.Object(name));
    if (!rope) continue;
    FASTVLM_RETURN_IF_ERROR(rope->RequireString("type", "default", "default"));
    FASTVLM_RETURN_IF_ERROR(rope->RequireString("rope_type", "default", "default"));
    FASTVLM_ASSIGN_OR_RETURN(const double part, rope->PositiveOr("partial_rotary_factor", 1.0));
    if (part != 1.0) return rope->Unsupported("partial_rotary_factor", "1");
    for (const char* nested : {"full_attention", "sliding_attention"}) {
      if (rope->Find(nested) != nullptr) {
        return rope->Unsupported(nested, "one rope_theta for all layers");
      }
    }
    FASTVLM_ASSIGN_OR_RETURN(theta, rope->PositiveOr("rope_theta", theta));
  }
  return theta;
}

// Settings that change what a decoder layer computes.
Status CheckDecoderKind(const JsonFields& text) {
  FASTVLM_RETURN_IF_ERROR(text.RequireString("hidden_act", "silu", "silu"));
  FASTVLM_RETURN_IF_ERROR(text.RequireBool("use_sliding_window", false, false));
  if (const json* types = text.Find("layer_types")) {
    if (!types->is_array()) return text.Wrong("layer_types", "a list");
    for (const json& type : *types) {
      if (type != "full_attention") return text.Unsupported("layer_types", "\"full_attention\"");
    }
  }
  return {};
}

// Bits and group sizes are found from the tensors, as they may differ from one to the next.
Status CheckQuantization(const JsonFields& fields, bool mlx) {
  for (const char* name : {"quantization", "quantization_config"}) {
    if (fields.Find(name) == nullptr) continue;
    if (!mlx) return fields.Unsupported(name, "an unquantized model");
    FASTVLM_ASSIGN_OR_RETURN(const auto quantization, fields.Object(name));
    FASTVLM_RETURN_IF_ERROR(quantization->RequireString("mode", "affine", "affine"));
  }
  return {};
}

Status ReadAttentionShape(const JsonFields& text, DecoderConfig* config) {
  FASTVLM_ASSIGN_OR_RETURN(config->heads, text.Integer("num_attention_heads", 1, 4096));
  FASTVLM_ASSIGN_OR_RETURN(config->kv_heads,
                           text.IntegerOr("num_key_value_heads", 1, config->heads, config->heads));
  if (config->heads % config->kv_heads != 0) {
    return text.Wrong("num_key_value_heads",
                      fmt::format("a divisor of num_attention_heads, {}", config->heads));
  }
  if (text.Find("head_dim") == nullptr && config->hidden % config->heads != 0) {
    return text.Wrong("num_attention_heads",
                      fmt::format("a divisor of hidden_size, {}", config->hidden));
  }
  FASTVLM_ASSIGN_OR_RETURN(config->head_dim,
                           text.IntegerOr("head_dim", 2, 1 << 16, config->hidden / config->heads));
  if (config->head_dim % 2 != 0) {
    return Error(StatusCode::kDataError,
                 "{}: a head of the decoder has {} values, expected an even "
                 "number (hidden_size / num_attention_heads, or head_dim)",
                 text.path(), config->head_dim);
  }
  return {};
}

// The fields of Qwen2Config, whose defaults stand for absent ones.
Status ReadDecoderConfig(const JsonFields& text, DecoderConfig* config) {
  FASTVLM_RETURN_IF_ERROR(CheckDecoderKind(text));
  FASTVLM_ASSIGN_OR_RETURN(config->hidden, text.Integer("hidden_size", 1, 1 << 20));
  FASTVLM_ASSIGN_OR_RETURN(config->layers, text.Integer("num_hidden_layers", 1, 9999));
  FASTVLM_ASSIGN_OR_RETURN(config->intermediate, text.Integer("intermediate_size", 1, 1 << 22));
  FASTVLM_ASSIGN_OR_RETURN(config->vocab_rows, text.Integer("vocab_size", 1, 1 << 24));
  FASTVLM_RETURN_IF_ERROR(ReadAttentionShape(text, config));
  FASTVLM_ASSIGN_OR_RETURN(config->rope_theta, ReadRopeTheta(text));
  FASTVLM_ASSIGN_OR_RETURN(const double eps, text.PositiveOr("rms_norm_eps", 1e-6));
  config->rms_norm_eps = static_cast<float>(eps);
  FASTVLM_ASSIGN_OR_RETURN(config->max_positions,
                           text.IntegerOr("max_position_embeddings", 1, 1 << 24, 32768));
  FASTVLM_ASSIGN_OR_RETURN(config->tied_embeddings, text.BoolOr("tie_word_embeddings", false));
  return AppendEosIds(text, config->vocab_rows, &config->eos_ids);
}

Status CheckImageSize(const std::string& path, const char* field, int64_t size, int64_t stride) {
  if (size >= stride && size <= kMaxImageSize && size % stride == 0) return {};
  return Error(StatusCode::kDataError,
               "{}: {} says images of {} pixels, expected a multiple of {} up to {}", path, field,
               size, stride, kMaxImageSize);
}

Result<int64_t> ImageSizeFromTower(const JsonFields& fields, int64_t stride) {
  constexpr char kName[] = "mm_vision_tower";
  FASTVLM_ASSIGN_OR_RETURN(const std::string tower, fields.StringOr(kName, ""));
  const size_t underscore = tower.rfind('_');
  int64_t size = 0;
  if (underscore != std::string::npos) {
    const char* end = tower.data() + tower.size();
    const auto number = std::from_chars(tower.data() + underscore + 1, end, size);
    if (number.ec != std::errc() || number.ptr != end) size = 0;
  }
  if (size <= 0 || !tower.starts_with("mobileclip")) {
    return fields.Wrong(kName, "mobileclip_<name>_<image size in pixels>");
  }
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(fields.path(), kName, size, stride));
  return size;
}

// Settings of LLaVA that would need another connector, prompt or way to cut images.
Status CheckLlavaSettings(const JsonFields& fields, int64_t feature_channels) {
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("mm_projector_type", "mlp2x_gelu", "linear"));
  FASTVLM_RETURN_IF_ERROR(fields.RequireBool("mm_use_im_start_end", false, false));
  FASTVLM_RETURN_IF_ERROR(fields.RequireBool("mm_use_im_patch_token", false, false));
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("mm_patch_merge_type", "flat", "flat"));
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("image_aspect_ratio", "pad", "pad"));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t features,
                           fields.IntegerOr("mm_hidden_size", 1, 1 << 24, feature_channels));
  if (features == feature_channels) return {};
  return fields.Wrong("mm_hidden_size",
                      fmt::format("the features of the image encoder, {}", feature_channels));
}

Status ReadAppleConfig(const JsonFields& fields, ModelConfig* config) {
  FASTVLM_RETURN_IF_ERROR(CheckLlavaSettings(fields, config->vision.feature_channels));
  FASTVLM_RETURN_IF_ERROR(CheckQuantization(fields, config->layout != "apple"));
  DecoderConfig& decoder = config->decoder;
  FASTVLM_RETURN_IF_ERROR(ReadDecoderConfig(fields, &decoder));
  FASTVLM_ASSIGN_OR_RETURN(config->vision.image_size,
                           ImageSizeFromTower(fields, config->vision.stride()));
  FASTVLM_ASSIGN_OR_RETURN(
      const int64_t trained,
      fields.IntegerOr("tokenizer_model_max_length", 1, INT64_MAX, decoder.max_positions));
  decoder.context_tokens = std::min(trained, decoder.max_positions);
  return {};
}

// image_mean and the like: a list of three numbers, each `expected`. Absent: as expected.
Status CheckTriple(const JsonFields& fields, const char* name, double expected) {
  const json* value = fields.Find(name);
  if (value == nullptr) return {};
  const json triple = json::array({expected, expected, expected});
  if (*value == triple) return {};
  return fields.Unsupported(name, triple.dump());
}

Status CheckImageProcessor(const JsonFields& fields) {
  FASTVLM_ASSIGN_OR_RETURN(const bool normalize, fields.BoolOr("do_normalize", true));
  if (normalize) {
    FASTVLM_RETURN_IF_ERROR(CheckTriple(fields, "image_mean", 0));
    FASTVLM_RETURN_IF_ERROR(CheckTriple(fields, "image_std", 1));
  }
  FASTVLM_RETURN_IF_ERROR(fields.RequireBool("do_rescale", true, true));
  FASTVLM_ASSIGN_OR_RETURN(const double factor, fields.PositiveOr("rescale_factor", 1.0 / 255));
  if (std::abs(factor * 255 - 1) > 1e-6) return fields.Unsupported("rescale_factor", "1/255");
  FASTVLM_ASSIGN_OR_RETURN(const int64_t resample, fields.IntegerOr("resample", 0, 100, kBicubic));
  return resample == kBicubic ? Status() : fields.Unsupported("resample", "3, bicubic,");
}

// crop_size or size: a number, {shortest_edge} or {height, width}. 0 if absent.
Result<int64_t> SideLength(const JsonFields& fields, const char* name) {
  const json* value = fields.Find(name);
  if (value == nullptr) return int64_t{0};
  if (!value->is_object()) return fields.Integer(name, 1, kMaxImageSize);
  FASTVLM_ASSIGN_OR_RETURN(const auto sizes, fields.Object(name));
  if (sizes->Find("shortest_edge") != nullptr) {
    return sizes->Integer("shortest_edge", 1, kMaxImageSize);
  }
  FASTVLM_ASSIGN_OR_RETURN(const int64_t height, sizes->Integer("height", 1, kMaxImageSize));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t width, sizes->Integer("width", 1, kMaxImageSize));
  if (height != width) return fields.Unsupported(name, "a square");
  return height;
}

Result<int64_t> ImageSizeFromProcessor(const JsonFields& fields, int64_t stride) {
  FASTVLM_RETURN_IF_ERROR(CheckImageProcessor(fields));
  for (const char* name : {"crop_size", "size"}) {
    FASTVLM_ASSIGN_OR_RETURN(const int64_t size, SideLength(fields, name));
    if (size == 0) continue;
    FASTVLM_RETURN_IF_ERROR(CheckImageSize(fields.path(), name, size, stride));
    return size;
  }
  return int64_t{0};
}

// The side of the picture that the image processor makes; 0 if neither file says it. transformers 5
// may put the image processor into processor_config.json.
Result<int64_t> ImageSizeFromProcessorFiles(const std::string& directory, int64_t stride) {
  const std::string own = directory + "/preprocessor_config.json";
  FASTVLM_ASSIGN_OR_RETURN(const auto preprocessor, ReadCompanion(own, kMaxConfigBytes));
  if (preprocessor) return ImageSizeFromProcessor(JsonFields(*preprocessor, own), stride);
  const std::string shared = directory + "/processor_config.json";
  FASTVLM_ASSIGN_OR_RETURN(const auto processor, ReadCompanion(shared, kMaxConfigBytes));
  if (!processor) return int64_t{0};
  FASTVLM_ASSIGN_OR_RETURN(const auto image,
                           JsonFields(*processor, shared).Object("image_processor"));
  return image ? ImageSizeFromProcessor(*image, stride) : int64_t{0};
}

// The side of the picture from the number of its tokens, each of which stands for a square of
// stride x stride pixels. 0 if absent.
Result<int64_t> ImageSizeFromTokens(const JsonFields& fields, int64_t stride) {
  constexpr char kName[] = "image_seq_length";
  const int64_t max_side = kMaxImageSize / stride;
  FASTVLM_ASSIGN_OR_RETURN(const int64_t tokens,
                           fields.IntegerOr(kName, 1, max_side * max_side, 0));
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(tokens))));
  if (side * side != tokens) return fields.Wrong(kName, "a square number");
  return side * stride;
}

Status ReadFastVlmImageSize(const JsonFields& fields, const std::string& directory,
                            VisionConfig* vision, std::vector<std::string>* warnings) {
  FASTVLM_ASSIGN_OR_RETURN(vision->image_size,
                           ImageSizeFromProcessorFiles(directory, vision->stride()));
  if (vision->image_size != 0) return {};
  FASTVLM_ASSIGN_OR_RETURN(vision->image_size, ImageSizeFromTokens(fields, vision->stride()));
  if (vision->image_size != 0) return {};
  vision->image_size = kPublishedImageSize;
  warnings->push_back(
      fmt::format("{}: no image size here or in preprocessor_config.json; {} pixels are assumed",
                  fields.path(), kPublishedImageSize));
  return {};
}

// The encoder's structure is found from the tensors. These are the settings that tensors do not
// show.
Status CheckTimmSettings(const JsonFields& vision) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string architecture,
                           vision.StringOr("architecture", "fastvit_mci3"));
  if (architecture != "fastvit_mci3" && architecture != "fastvit_mci4") {
    return vision.Unsupported("architecture", "fastvit_mci3 or fastvit_mci4");
  }
  FASTVLM_ASSIGN_OR_RETURN(const auto arguments, vision.Object("model_args"));
  if (!arguments) return {};
  FASTVLM_RETURN_IF_ERROR(arguments->RequireBool("lkc_use_act", true, true));
  return arguments->RequireString("act_layer", "gelu", "gelu");
}

Status CheckFastVlmSettings(const JsonFields& fields) {
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("projector_hidden_act", "gelu", "gelu"));
  FASTVLM_RETURN_IF_ERROR(fields.RequireBool("multimodal_projector_bias", true, true));
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("vision_feature_select_strategy", "full", "full"));
  // LLaVA's, which a conversion may keep.
  FASTVLM_RETURN_IF_ERROR(fields.RequireString("mm_patch_merge_type", "flat", "flat"));
  if (const json* layer = fields.Find("vision_feature_layer"); layer != nullptr && *layer != -1) {
    return fields.Unsupported("vision_feature_layer", "-1");
  }
  FASTVLM_ASSIGN_OR_RETURN(const auto vision, fields.Object("vision_config"));
  return vision ? CheckTimmSettings(*vision) : Status();
}

// Tokenizers without a limit say 1e30, which is no integer.
Result<int64_t> TokenizerLimit(const std::string& directory) {
  const std::string path = directory + "/tokenizer_config.json";
  FASTVLM_ASSIGN_OR_RETURN(const auto tokenizer, ReadCompanion(path, kMaxTokenizerConfigBytes));
  if (!tokenizer) return kTrainedContext;
  const JsonFields fields(*tokenizer, path);
  FASTVLM_ASSIGN_OR_RETURN(const double limit,
                           fields.PositiveOr("model_max_length", kTrainedContext));
  if (limit < 1) return fields.Wrong("model_max_length", "at least 1");
  return limit >= kTrainedContext ? kTrainedContext : static_cast<int64_t>(limit);
}

Status ReadFastVlmConfig(const JsonFields& fields, const std::string& directory,
                         ModelConfig* config, std::vector<std::string>* warnings) {
  FASTVLM_RETURN_IF_ERROR(CheckFastVlmSettings(fields));
  FASTVLM_ASSIGN_OR_RETURN(const auto text, fields.Object("text_config"));
  if (!text) return fields.Wrong("text_config", "an object");
  FASTVLM_RETURN_IF_ERROR(text->RequireString("model_type", "qwen2", "qwen2"));
  FASTVLM_RETURN_IF_ERROR(CheckQuantization(fields, false));
  FASTVLM_RETURN_IF_ERROR(CheckQuantization(*text, false));
  DecoderConfig& decoder = config->decoder;
  FASTVLM_RETURN_IF_ERROR(ReadDecoderConfig(*text, &decoder));
  // FastVlmConfig ties the embeddings if either level says so.
  FASTVLM_ASSIGN_OR_RETURN(const bool tied, fields.BoolOr("tie_word_embeddings", false));
  decoder.tied_embeddings = decoder.tied_embeddings || tied;
  FASTVLM_RETURN_IF_ERROR(AppendEosIds(fields, decoder.vocab_rows, &decoder.eos_ids));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t limit, TokenizerLimit(directory));
  decoder.context_tokens = std::min(limit, decoder.max_positions);
  return ReadFastVlmImageSize(fields, directory, &config->vision, warnings);
}

Status ReadGenerationConfig(const std::string& directory, DecoderConfig* decoder) {
  const std::string path = directory + "/generation_config.json";
  FASTVLM_ASSIGN_OR_RETURN(const auto generation, ReadCompanion(path, kMaxConfigBytes));
  if (!generation) return {};
  return AppendEosIds(JsonFields(*generation, path), decoder->vocab_rows, &decoder->eos_ids);
}

}  // namespace

Status ReadConfig(const std::string& directory, ModelConfig* config,
                  std::vector<std::string>* warnings) {
  const std::string path = directory + "/config.json";
  FASTVLM_ASSIGN_OR_RETURN(const json object, ReadJsonObject(path, kMaxConfigBytes));
  const JsonFields fields(object, path);
  FASTVLM_ASSIGN_OR_RETURN(config->model_type, fields.StringOr("model_type", ""));
  if (config->layout == "fast_vlm") {
    FASTVLM_RETURN_IF_ERROR(fields.RequireString("model_type", "fast_vlm", ""));
    FASTVLM_RETURN_IF_ERROR(ReadFastVlmConfig(fields, directory, config, warnings));
  } else {
    FASTVLM_RETURN_IF_ERROR(fields.RequireString("model_type", "llava_qwen2", ""));
    FASTVLM_RETURN_IF_ERROR(ReadAppleConfig(fields, config));
  }
  return ReadGenerationConfig(directory, &config->decoder);
}

}  // namespace fastvlm
