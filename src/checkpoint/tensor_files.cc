#include "checkpoint/tensor_files.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr size_t kMaxShards = 1000;

bool Exists(const std::string& path) { return FileExists(path) || DirectoryExists(path); }

// A plain name, so that an index cannot reach outside of its directory.
bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

Status AddFile(const std::string& path, TensorFiles* all) {
  FASTVLM_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  FASTVLM_ASSIGN_OR_RETURN(std::vector<StoredTensor> tensors, ParseSafetensors(file.bytes(), path));
  for (StoredTensor& stored : tensors) {
    std::string name = stored.tensor.name;
    const auto [place, is_new] = all->tensors.try_emplace(std::move(name), std::move(stored));
    if (!is_new) {
      return Error(StatusCode::kDataError, "{}: tensor {} is also in {}", path,
                   Printable(place->first), place->second.tensor.file);
    }
  }
  all->file_bytes += static_cast<int64_t>(file.bytes().size());
  all->files.push_back(std::move(file));
  return {};
}

using WeightMap = std::map<std::string, std::string>;  // tensor -> shard

Result<WeightMap> ReadWeightMap(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const nlohmann::json index, ReadJsonObject(path, kMaxIndexBytes));
  const JsonFields fields(index, path);
  const nlohmann::json* map = fields.Find("weight_map");
  if (map == nullptr || !map->is_object() || map->empty()) {
    return fields.Wrong("weight_map", "an object of tensor names and file names");
  }
  WeightMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !IsPlainFileName(shard.get_ref<const std::string&>())) {
      return Error(StatusCode::kDataError,
                   "{}: weight_map of {} must be the name of a file in the same directory, found "
                   "{}",
                   path, Printable(tensor), JsonText(shard));
    }
    shards.emplace(tensor, shard.get<std::string>());
  }
  return shards;
}

Status CheckAgainstIndex(const WeightMap& map, const std::string& directory,
                         const TensorFiles& all) {
  for (const auto& [name, shard] : map) {
    const auto found = all.tensors.find(name);
    const std::string expected = fmt::format("{}/{}", directory, shard);
    if (found == all.tensors.end()) {
      return Error(StatusCode::kDataError,
                   "{}: tensor {} is missing, though {} lists it: the files do not belong together",
                   expected, Printable(name), all.path);
    }
    if (found->second.tensor.file != expected) {
      return Error(StatusCode::kDataError,
                   "{}: tensor {} expected in {}, found in {}: the files do not belong together",
                   all.path, Printable(name), expected, found->second.tensor.file);
    }
  }
  for (const auto& [name, stored] : all.tensors) {
    if (!map.contains(name)) {
      return Error(StatusCode::kDataError,
                   "{}: tensor {} is not listed in {}: the files do not belong together",
                   stored.tensor.file, Printable(name), all.path);
    }
  }
  return {};
}

Status OpenShards(const std::string& directory, TensorFiles* all) {
  FASTVLM_ASSIGN_OR_RETURN(const WeightMap map, ReadWeightMap(all->path));
  std::set<std::string> shards;
  for (const auto& [name, shard] : map) shards.insert(shard);
  if (shards.size() > kMaxShards) {
    return Error(StatusCode::kDataError, "{}: lists {} files, expected at most {}", all->path,
                 shards.size(), kMaxShards);
  }
  for (const std::string& shard : shards) {
    const std::string path = fmt::format("{}/{}", directory, shard);
    if (!Exists(path)) {
      return Error(StatusCode::kNotFound, "{}: no such file, though {} lists it: download it too",
                   path, all->path);
    }
    FASTVLM_RETURN_IF_ERROR(AddFile(path, all));
  }
  return CheckAgainstIndex(map, directory, *all);
}

}  // namespace

Result<TensorFiles> OpenTensorFiles(const std::string& directory) {
  TensorFiles all;
  all.path = directory + "/model.safetensors";
  if (Exists(all.path)) {
    FASTVLM_RETURN_IF_ERROR(AddFile(all.path, &all));
    return all;
  }
  all.path += ".index.json";
  if (!Exists(all.path)) {
    return Error(StatusCode::kNotFound,
                 "{}: neither model.safetensors nor model.safetensors.index.json is here; give the "
                 "directory of a downloaded FastVLM",
                 directory);
  }
  FASTVLM_RETURN_IF_ERROR(OpenShards(directory, &all));
  return all;
}

}  // namespace fastvlm
