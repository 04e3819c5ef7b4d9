#include "checkpoint/gguf_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/printable.h"
#include "checkpoint/gguf_pair.h"
#include "checkpoint/layout.h"

namespace fastvlm {
namespace {

constexpr int64_t kVisionVersion = 1;       // of fastvlm.version in mmproj.gguf
constexpr int64_t kCalibrationVersion = 1;  // of fastvlm.calibration.version there

// For files with another name: some caches name files by their checksum.
bool BeginsAsGguf(const std::string& path) {
  const Result<MappedFile> file = MappedFile::Open(path);
  return file.ok() && file->bytes().size() >= 4 &&
         std::memcmp(file->bytes().data(), "GGUF", 4) == 0;
}

bool EndsWithGguf(const std::string& name) { return name.ends_with(".gguf"); }

// The one name that fits, or empty.
Result<std::string> TheOnly(const std::string& directory, const std::vector<std::string>& names,
                            const std::string& preferred) {
  if (std::find(names.begin(), names.end(), preferred) != names.end()) {
    return directory + "/" + preferred;
  }
  if (names.empty()) return std::string();
  if (names.size() == 1) return directory + "/" + names.front();
  return Error(StatusCode::kDataError,
               "{}: {} GGUF files to choose from, {} and {} for example; name one of them, or keep "
               "one as {}",
               directory, names.size(), names[0], names[1], preferred);
}

// Of a split model only the first part has the metadata, and each part has some of the tensors.
Status CheckWhole(const Gguf& gguf) {
  FASTVLM_ASSIGN_OR_RETURN(const int64_t parts, gguf.IntegerOr("split.count", 0, UINT32_MAX, 1));
  if (parts <= 1) return {};
  return Error(StatusCode::kUnsupported,
               "{}: one of {} parts of a model; join them with llama.cpp's \"llama-gguf-split "
               "--merge FIRST_PART WHOLE.gguf\"",
               gguf.path, parts);
}

Status CheckArchitecture(const Gguf& gguf) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string name, gguf.String("general.architecture"));
  if (name == "qwen2") return {};
  return Error(StatusCode::kUnsupported,
               "{}: the architecture is {}; only qwen2, the language half of FastVLM, can be read",
               gguf.path, Quoted(name));
}

Status CheckRope(const Gguf& gguf) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string scaling,
                           gguf.StringOr("qwen2.rope.scaling.type", "none"));
  if (scaling == "none") return {};
  return Error(StatusCode::kUnsupported,
               "{}: qwen2.rope.scaling.type is {}; only none is supported", gguf.path,
               Quoted(scaling));
}

Status ReadHeads(const Gguf& gguf, DecoderConfig* config) {
  FASTVLM_ASSIGN_OR_RETURN(config->heads, gguf.Integer("qwen2.attention.head_count", 1, 4096));
  FASTVLM_ASSIGN_OR_RETURN(config->kv_heads, gguf.IntegerOr("qwen2.attention.head_count_kv", 1,
                                                            config->heads, config->heads));
  if (config->heads % config->kv_heads != 0) {
    return gguf.Wrong("qwen2.attention.head_count_kv",
                      fmt::format("a divisor of {} heads", config->heads));
  }
  const bool has_width = gguf.Find("qwen2.attention.key_length") != nullptr;
  if (!has_width && config->hidden % config->heads != 0) {
    return gguf.Wrong("qwen2.attention.head_count",
                      fmt::format("a divisor of {}, the embedding length", config->hidden));
  }
  FASTVLM_ASSIGN_OR_RETURN(
      config->head_dim,
      gguf.IntegerOr("qwen2.attention.key_length", 2, 1 << 16, config->hidden / config->heads));
  FASTVLM_ASSIGN_OR_RETURN(
      const int64_t value_length,
      gguf.IntegerOr("qwen2.attention.value_length", 2, 1 << 16, config->head_dim));
  if (config->head_dim % 2 == 0 && value_length == config->head_dim) return {};
  return Error(StatusCode::kUnsupported,
               "{}: heads of {} and {} values (keys, values); only equal, even numbers are "
               "supported",
               gguf.path, config->head_dim, value_length);
}

// Our files list all tokens that end an answer; those of others have one or two keys.
Status ReadEosIds(const Gguf& gguf, DecoderConfig* config) {
  std::vector<double> ids;
  if (gguf.Find("fastvlm.eos_token_ids") != nullptr) {
    FASTVLM_ASSIGN_OR_RETURN(ids, gguf.Numbers("fastvlm.eos_token_ids"));
  }
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    FASTVLM_ASSIGN_OR_RETURN(const int64_t id, gguf.IntegerOr(key, 0, UINT32_MAX, UINT32_MAX));
    if (id != UINT32_MAX) ids.push_back(static_cast<double>(id));
  }
  for (const double id : ids) {
    if (!(id >= 0 && id < static_cast<double>(config->vocab_rows))) continue;
    const auto token = static_cast<int32_t>(id);
    auto& known = config->eos_ids;
    if (std::find(known.begin(), known.end(), token) == known.end()) known.push_back(token);
  }
  return {};
}

// "[PAD151700]" stands for a row that belongs to no token. Old converters gave such rows other
// kinds.
bool IsPadding(std::string_view token, size_t id) {
  if (!token.starts_with("[PAD") || !token.ends_with("]")) return false;
  size_t number = 0;
  const char* end = token.data() + token.size() - 1;
  const auto parsed = std::from_chars(token.data() + 4, end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && number == id;
}

// Source: enum llama_token_type in llama.h.
StoredTokenKind KindOf(double type) {
  if (type == 3) return StoredTokenKind::kSpecial;
  if (type == 4) return StoredTokenKind::kAdded;
  if (type == 5) return StoredTokenKind::kUnused;
  return StoredTokenKind::kNormal;
}

Status CheckTokenizerKind(const Gguf& gguf) {
  for (const auto& [key, expected] :
       {std::pair("tokenizer.ggml.model", "gpt2"), std::pair("tokenizer.ggml.pre", "qwen2")}) {
    FASTVLM_ASSIGN_OR_RETURN(const std::string found, gguf.StringOr(key, ""));
    if (found != expected) {
      return Error(StatusCode::kUnsupported,
                   "{}: {} is {}; only {}, Qwen2's byte-level BPE, can be read", gguf.path, key,
                   Quoted(found), expected);
    }
  }
  return {};
}

// The image half is named as llama.cpp names such files, but no reader of clip knows our encoder.
Status Newer(const Gguf& gguf, const char* key, int64_t found, int64_t known) {
  return Error(StatusCode::kUnsupported,
               "{}: a newer fastvlm wrote this file: {} is {}, this program reads {}; update "
               "fastvlm, or quantize the model again",
               gguf.path, key, found, known);
}

Status CheckVisionKind(const Gguf& gguf) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string type, gguf.StringOr("clip.projector_type", ""));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t version,
                           gguf.IntegerOr("fastvlm.version", 0, UINT32_MAX, 0));
  if (type == "fastvlm" && version == kVisionVersion) return {};
  if (type == "fastvlm" && version > kVisionVersion) {
    return Newer(gguf, "fastvlm.version", version, kVisionVersion);
  }
  return Error(StatusCode::kUnsupported,
               "{}: not an image encoder written by fastvlm quantize: clip.projector_type is {}, "
               "fastvlm.version {}; expected fastvlm and {}",
               gguf.path, Quoted(type), version, kVisionVersion);
}

Status CheckPreprocessing(const Gguf& gguf) {
  for (const auto& [key, expected] :
       {std::pair("clip.vision.image_mean", 0.0), std::pair("clip.vision.image_std", 1.0)}) {
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<double> values, gguf.Numbers(key));
    if (values != std::vector<double>(3, expected)) {
      return gguf.Wrong(key, fmt::format("three times {}", expected));
    }
  }
  return {};
}

// Linear layers are matrices in the file and 1x1 convolutions in our names.
bool IsPointwise(const std::string& name) {
  constexpr std::array<std::string_view, 6> kPatterns = {
      "vision.stem.2.weight",
      "vision.stages.#.downsample.pointwise.weight",
      "vision.stages.#.blocks.#.ffn.fc1.weight",
      "vision.stages.#.blocks.#.ffn.fc2.weight",
      "vision.squeeze.weight",
      "vision.excite.weight"};
  return std::any_of(kPatterns.begin(), kPatterns.end(), [&name](std::string_view pattern) {
    return Rewrite(name, pattern, "").has_value();
  });
}

}  // namespace

Result<GgufPaths> FindGguf(const std::string& path) {
  GgufPaths paths;
  const bool is_file = FileExists(path) && (EndsWithGguf(path) || BeginsAsGguf(path));
  if (!is_file && !DirectoryExists(path)) return paths;
  const size_t slash = path.rfind('/');
  const std::string directory = !is_file                     ? path
                                : slash == std::string::npos ? "."
                                : slash == 0                 ? "/"
                                                             : path.substr(0, slash);
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<std::string> models, visions;
  for (const std::string& name : names) {
    if (!is_file && name.starts_with("model.safetensors")) return paths;
    if (EndsWithGguf(name)) (name.starts_with("mmproj") ? visions : models).push_back(name);
  }
  std::sort(models.begin(), models.end());
  std::sort(visions.begin(), visions.end());
  FASTVLM_ASSIGN_OR_RETURN(paths.vision, TheOnly(directory, visions, kVisionGguf));
  const bool may_be_interrupted =
      (!is_file || path.ends_with(kModelGguf)) &&
      std::find(names.begin(), names.end(), fmt::format("{}.part", kModelGguf)) != names.end();
  const std::string interrupted = may_be_interrupted ? InterruptedModel(directory) : "";
  if (!interrupted.empty()) {
    paths.model = interrupted;
    paths.interrupted = true;
  } else if (is_file) {
    paths.model = path;
  } else {
    FASTVLM_ASSIGN_OR_RETURN(paths.model, TheOnly(directory, models, kModelGguf));
  }
  return paths;
}

Result<GgufFile> OpenGgufFile(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  GgufFile file;
  FASTVLM_ASSIGN_OR_RETURN(file.gguf, ParseGguf(mapped.bytes(), path));
  file.tensors.path = path;
  file.tensors.file_bytes = static_cast<int64_t>(mapped.bytes().size());
  for (const StoredTensor& stored : file.gguf.tensors) {
    file.tensors.tensors.emplace(stored.tensor.name, stored);
  }
  file.tensors.files.push_back(std::move(mapped));
  return file;
}

Status ReadGgufDecoderConfig(const GgufFile& file, ModelConfig* model) {
  const Gguf& gguf = file.gguf;
  FASTVLM_RETURN_IF_ERROR(CheckWhole(gguf));
  FASTVLM_RETURN_IF_ERROR(CheckArchitecture(gguf));
  FASTVLM_RETURN_IF_ERROR(CheckRope(gguf));
  model->model_type = "qwen2";
  DecoderConfig* config = &model->decoder;
  FASTVLM_ASSIGN_OR_RETURN(config->hidden, gguf.Integer("qwen2.embedding_length", 1, 1 << 20));
  FASTVLM_ASSIGN_OR_RETURN(config->layers, gguf.Integer("qwen2.block_count", 1, 9999));
  FASTVLM_ASSIGN_OR_RETURN(config->intermediate,
                           gguf.Integer("qwen2.feed_forward_length", 1, 1 << 22));
  FASTVLM_RETURN_IF_ERROR(ReadHeads(gguf, config));
  FASTVLM_ASSIGN_OR_RETURN(config->rope_theta, gguf.PositiveOr("qwen2.rope.freq_base", 10000));
  FASTVLM_ASSIGN_OR_RETURN(const double eps,
                           gguf.PositiveOr("qwen2.attention.layer_norm_rms_epsilon", 1e-6));
  config->rms_norm_eps = static_cast<float>(eps);
  FASTVLM_ASSIGN_OR_RETURN(config->max_positions,
                           gguf.IntegerOr("qwen2.context_length", 1, 1 << 24, 32768));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t trained,
                           gguf.IntegerOr("fastvlm.context_length", 1, 1 << 24, kTrainedContext));
  config->context_tokens = std::min(trained, config->max_positions);
  config->tied_embeddings = !file.tensors.tensors.contains("output.weight");
  const auto embedding = file.tensors.tensors.find("token_embd.weight");
  if (embedding == file.tensors.tensors.end() || embedding->second.tensor.shape.size() != 2 ||
      embedding->second.tensor.shape[0] > 1 << 24) {
    return Error(StatusCode::kDataError,
                 "{}: tensor token_embd.weight is missing or not a matrix of at most {} rows",
                 gguf.path, 1 << 24);
  }
  config->vocab_rows = embedding->second.tensor.shape[0];
  return ReadEosIds(gguf, config);
}

Status PrepareGgufVision(GgufFile* file, VisionConfig* config) {
  const Gguf& gguf = file->gguf;
  FASTVLM_RETURN_IF_ERROR(CheckVisionKind(gguf));
  FASTVLM_RETURN_IF_ERROR(CheckPreprocessing(gguf));
  FASTVLM_ASSIGN_OR_RETURN(config->head_dim, gguf.Integer("fastvlm.vision.head_dim", 1, 4096));
  FASTVLM_ASSIGN_OR_RETURN(config->image_size,
                           gguf.Integer("clip.vision.image_size", 1, kMaxImageSize));
  for (auto& [name, stored] : file->tensors.tensors) {
    if (stored.tensor.shape.size() == 2 && IsPointwise(name)) {
      stored.tensor.shape.insert(stored.tensor.shape.end(), {1, 1});
    }
  }
  return {};
}

Result<std::optional<Calibration>> ReadGgufCalibration(const GgufFile& file) {
  const Gguf& gguf = file.gguf;
  // Files from before there were versions have no such key: they are of version 1.
  constexpr char kVersion[] = "fastvlm.calibration.version";
  FASTVLM_ASSIGN_OR_RETURN(const int64_t version,
                           gguf.IntegerOr(kVersion, 1, UINT32_MAX, kCalibrationVersion));
  if (version > kCalibrationVersion) return Newer(gguf, kVersion, version, kCalibrationVersion);
  if (gguf.Find("fastvlm.calibration.target") == nullptr) return std::optional<Calibration>();
  Calibration calibration;
  for (const auto& [key, value] :
       {std::pair("fastvlm.calibration.target", &calibration.target),
        std::pair("fastvlm.calibration.cosine_quantized", &calibration.cosine_quantized),
        std::pair("fastvlm.calibration.cosine_mean", &calibration.cosine_mean),
        std::pair("fastvlm.calibration.cosine_worst", &calibration.cosine_worst)}) {
    FASTVLM_ASSIGN_OR_RETURN(*value, gguf.Number(key, -1, 1));
  }
  FASTVLM_ASSIGN_OR_RETURN(calibration.pictures,
                           gguf.Integer("fastvlm.calibration.pictures", 1, UINT32_MAX));
  constexpr char kKept[] = "fastvlm.calibration.kept";
  constexpr char kLoss[] = "fastvlm.calibration.kept_loss";
  FASTVLM_ASSIGN_OR_RETURN(const GgufArray* names, gguf.Array(kKept));
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<double> losses, gguf.Numbers(kLoss));
  if (names->strings.size() != names->count) return gguf.Wrong(kKept, "an array of texts");
  if (losses.size() != names->count) {
    return gguf.Wrong(kLoss, fmt::format("an array of {}", names->count));
  }
  for (size_t i = 0; i < losses.size(); ++i) {
    Calibration::Kept kept{std::string(names->strings[i]), losses[i]};
    if (!file.tensors.tensors.contains(kept.tensor)) {
      return gguf.Wrong(kKept, "names of tensors in this file");
    }
    if (!(kept.loss >= 0 && kept.loss <= 2)) return gguf.Wrong(kLoss, "numbers from 0 to 2");
    calibration.kept.push_back(std::move(kept));
  }
  return std::optional(std::move(calibration));
}

Result<StoredTokenizer> ReadGgufTokenizer(const Gguf& gguf) {
  FASTVLM_RETURN_IF_ERROR(CheckTokenizerKind(gguf));
  StoredTokenizer tokenizer;
  tokenizer.path = gguf.path;
  constexpr char kTokens[] = "tokenizer.ggml.tokens";
  constexpr char kTypes[] = "tokenizer.ggml.token_type";
  FASTVLM_ASSIGN_OR_RETURN(const GgufArray* tokens, gguf.Array(kTokens));
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<double> types, gguf.Numbers(kTypes));
  FASTVLM_ASSIGN_OR_RETURN(const GgufArray* merges, gguf.Array("tokenizer.ggml.merges"));
  if (tokens->type != GgufType::kString || tokens->strings.empty()) {
    return gguf.Wrong(kTokens, "an array of texts");
  }
  if (types.size() != tokens->strings.size()) {
    return gguf.Wrong(kTypes, fmt::format("an array of {}", tokens->strings.size()));
  }
  tokenizer.tokens = tokens->strings;
  tokenizer.merges = merges->strings;
  for (size_t id = 0; id < types.size(); ++id) {
    const bool padding = IsPadding(tokenizer.tokens[id], id);
    tokenizer.kinds.push_back(padding ? StoredTokenKind::kUnused : KindOf(types[id]));
  }
  if (const GgufValue* chat = gguf.Find("tokenizer.chat_template")) {
    if (const auto* text = std::get_if<std::string_view>(chat)) tokenizer.chat_template = *text;
  }
  return tokenizer;
}

}  // namespace fastvlm
