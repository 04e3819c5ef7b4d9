#include "train/trainer/state.h"

#include <cstring>
#include <map>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"

namespace fastvlm::train {
namespace {

constexpr int64_t kVersion = 1;
constexpr size_t kProgressFields = 7;

uint64_t Hash(const std::string& text) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

std::span<const uint8_t> Bytes(const torch::Tensor& tensor) {
  return {static_cast<const uint8_t*>(tensor.data_ptr()),
          static_cast<size_t>(tensor.numel()) * sizeof(float)};
}

// Every tensor of a run by its name in the file.
std::map<std::string, torch::Tensor> TensorsOf(const Network& network,
                                               const std::vector<Parameter>& parameters) {
  std::map<std::string, torch::Tensor> tensors;
  for (const Parameter& parameter : parameters) {
    tensors["value/" + parameter.name] = parameter.value;
    tensors["mean/" + parameter.name] = parameter.mean;
    tensors["variance/" + parameter.name] = parameter.variance;
  }
  for (const auto& buffer : network.named_buffers()) {
    tensors["buffer/" + buffer.key()] = buffer.value();
  }
  return tensors;
}

Status Mismatch(const std::string& path, const std::string& what) {
  return Error(StatusCode::kDataError,
               "{}: {}; continue with the recipe and program that wrote it, or start anew in "
               "another directory",
               path, what);
}

}  // namespace

Status SaveState(const std::string& path, const std::string& fingerprint, const Progress& progress,
                 const Network& network, const std::vector<Parameter>& parameters) {
  const int64_t fields[kProgressFields] = {kVersion,
                                           static_cast<int64_t>(Hash(fingerprint)),
                                           progress.phase,
                                           progress.step,
                                           progress.total_steps,
                                           progress.pictures,
                                           progress.milliseconds};
  std::vector<OutputTensor> outputs;
  outputs.push_back({"progress",
                     Dtype::kI64,
                     {static_cast<int64_t>(kProgressFields)},
                     {reinterpret_cast<const uint8_t*>(fields), sizeof(fields)}});
  const auto tensors = TensorsOf(network, parameters);
  for (const auto& [name, tensor] : tensors) {
    outputs.push_back({name, Dtype::kF32, tensor.sizes().vec(), Bytes(tensor)});
  }
  return WriteSafetensors(path, outputs);
}

Status LoadState(const std::string& path, const std::string& fingerprint, Progress* progress,
                 Network* network, std::vector<Parameter>* parameters) {
  FASTVLM_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  FASTVLM_ASSIGN_OR_RETURN(const auto stored, ParseSafetensors(file.bytes(), path));
  std::map<std::string, const fastvlm::Tensor*> by_name;
  for (const StoredTensor& entry : stored) by_name[entry.tensor.name] = &entry.tensor;

  const auto head = by_name.find("progress");
  if (head == by_name.end() || head->second->dtype != Dtype::kI64 || head->second->elements() < 1) {
    return Mismatch(path, "not the state of a training run");
  }
  // The version comes first and says what follows it.
  int64_t version = 0;
  std::memcpy(&version, head->second->data, sizeof(version));
  if (version > kVersion) {
    return Mismatch(path, fmt::format("a newer fastvlm-train wrote this state: it has version {}, "
                                      "this program reads {}",
                                      version, kVersion));
  }
  if (version != kVersion || head->second->elements() != static_cast<int64_t>(kProgressFields)) {
    return Mismatch(path, fmt::format("a damaged state: it says version {} with {} fields", version,
                                      head->second->elements()));
  }
  int64_t fields[kProgressFields];
  std::memcpy(fields, head->second->data, sizeof(fields));
  if (fields[1] != static_cast<int64_t>(Hash(fingerprint))) {
    return Mismatch(path, "the state of a network of another shape than the recipe's");
  }
  auto tensors = TensorsOf(*network, *parameters);
  for (auto& [name, tensor] : tensors) {
    const auto entry = by_name.find(name);
    if (entry == by_name.end() || entry->second->dtype != Dtype::kF32 ||
        entry->second->shape != tensor.sizes().vec()) {
      return Mismatch(path, fmt::format("no tensor {} of the expected shape", name));
    }
  }
  for (auto& [name, tensor] : tensors) {
    by_name[name]->CopyToF32(tensor.data_ptr<float>());
  }
  *progress = {fields[2], fields[3], fields[4], fields[5], fields[6]};
  return {};
}

}  // namespace fastvlm::train
