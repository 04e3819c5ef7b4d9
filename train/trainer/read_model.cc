#include "train/trainer/read_model.h"

#include <cmath>
#include <map>

#include "base/printable.h"
#include "base/status.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_files.h"
#include "train/nn/load_fused_tensors.h"

namespace fastvlm::train {
namespace {

Status CheckTokenizer(const std::string& directory, const Tokenizer& expected) {
  FASTVLM_ASSIGN_OR_RETURN(const Tokenizer found, Tokenizer::Load(directory));
  if (found.size() != expected.size()) {
    return Error(StatusCode::kDataError,
                 "{}: the model has {} tokens, the run's tokenizer {}; give the model's own "
                 "directory as --tokenizer",
                 directory, found.size(), expected.size());
  }
  for (int32_t id = 0; id < found.size(); ++id) {
    if (found.TokenBytes(id) == expected.TokenBytes(id)) continue;
    return Error(StatusCode::kDataError,
                 "{}: token {} of the model is {}, of the run's tokenizer {}; give the model's own "
                 "directory as --tokenizer",
                 directory, id, Quoted(found.TokenBytes(id)), Quoted(expected.TokenBytes(id)));
  }
  return {};
}

// What the shapes of tensors do not tell.
Status CheckConfig(const std::string& directory, const NetworkConfig& network) {
  ModelConfig model;
  model.layout = "fast_vlm";
  model.vision.stages.resize(network.stages.size());
  std::vector<std::string> warnings;
  FASTVLM_RETURN_IF_ERROR(ReadConfig(directory, &model, &warnings));
  const DecoderConfig& decoder = model.decoder;
  const auto check = [&](const char* name, double found, double expected) -> Status {
    if (std::abs(found - expected) <= 1e-6 * std::abs(expected)) return {};
    return Error(StatusCode::kDataError, "{}/config.json: {} is {}, the recipe's network has {}",
                 directory, name, found, expected);
  };
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  FASTVLM_RETURN_IF_ERROR(
      check("num_attention_heads", number(decoder.heads), number(network.heads)));
  FASTVLM_RETURN_IF_ERROR(
      check("num_key_value_heads", number(decoder.kv_heads), number(network.kv_heads)));
  FASTVLM_RETURN_IF_ERROR(check("rope_theta", decoder.rope_theta, network.rope_theta));
  return check("rms_norm_eps", decoder.rms_norm_eps, network.rms_norm_eps);
}

}  // namespace

Status ReadModel(const std::string& directory, const Tokenizer& tokenizer, Network* network) {
  FASTVLM_RETURN_IF_ERROR(CheckTokenizer(directory, tokenizer));
  FASTVLM_RETURN_IF_ERROR(CheckConfig(directory, network->config));
  std::vector<std::string> warnings;
  FASTVLM_ASSIGN_OR_RETURN(const TensorFiles files, OpenTensorFiles(directory, &warnings));
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, stored] : files.tensors) {
    if (!stored.readable || stored.tensor.dtype == Dtype::kI64) continue;
    torch::Tensor values = torch::empty(stored.tensor.shape);
    stored.tensor.CopyToF32(values.data_ptr<float>());
    tensors.emplace(name, std::move(values));
  }
  const Status status = LoadFusedTensors(tensors, network);
  if (status.ok()) return {};
  return Error(status.code(), "{}: {}", files.path, status.message());
}

}  // namespace fastvlm::train
