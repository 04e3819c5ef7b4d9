#include "checkpoint/tensor_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxIndexBytes = size_t{64} << 20;
constexpr size_t kMaxShards = 1000;
constexpr char kSingleFile[] = "model.safetensors";

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

std::set<std::string> FilesOf(const WeightMap& map) {
  std::set<std::string> files;
  for (const auto& [name, file] : map) files.insert(file);
  return files;
}

// Whether an index decides although there is a model.safetensors. It does not if it lists that
// alone, or if it is left over from another download and its files are not here.
bool IndexDecides(const std::string& directory, const WeightMap& map) {
  const std::set<std::string> files = FilesOf(map);
  if (files.contains(kSingleFile)) return files.size() > 1;
  return std::all_of(files.begin(), files.end(), [&directory](const std::string& file) {
    return PathExists(fmt::format("{}/{}", directory, file));
  });
}

Status OpenListedFiles(const std::string& directory, const WeightMap& map, TensorFiles* all) {
  const std::set<std::string> shards = FilesOf(map);
  if (shards.size() > kMaxShards) {
    return Error(StatusCode::kDataError, "{}: lists {} files, expected at most {}", all->path,
                 shards.size(), kMaxShards);
  }
  for (const std::string& shard : shards) {
    const std::string path = fmt::format("{}/{}", directory, shard);
    if (!PathExists(path)) {
      return Error(StatusCode::kNotFound, "{}: no such file, though {} lists it: download it too",
                   path, all->path);
    }
    FASTVLM_RETURN_IF_ERROR(AddFile(path, all));
  }
  return CheckAgainstIndex(map, directory, *all);
}

// "model-00002-of-00003.safetensors"
struct ShardName {
  size_t number = 0;
  size_t count = 0;
};

std::string ShardText(const ShardName& shard) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard.number, shard.count);
}

std::optional<ShardName> ParseShardName(std::string_view name) {
  constexpr std::string_view kPattern = "model-#####-of-#####.safetensors";
  if (name.size() != kPattern.size()) return std::nullopt;
  ShardName shard;
  for (size_t i = 0; i < name.size(); ++i) {
    if (kPattern[i] != '#') {
      if (name[i] != kPattern[i]) return std::nullopt;
      continue;
    }
    if (name[i] < '0' || name[i] > '9') return std::nullopt;
    size_t& value = i < kPattern.find("-of-") ? shard.number : shard.count;
    value = value * 10 + static_cast<size_t>(name[i] - '0');
  }
  return shard;
}

// The names of shards without an index, in order: 1 to N of N. Empty if there are no shards at all.
Result<std::vector<std::string>> FindShards(const std::string& directory) {
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::map<std::string, ShardName> found;
  for (const std::string& name : names) {
    if (const std::optional<ShardName> shard = ParseShardName(name)) found.emplace(name, *shard);
  }
  std::vector<std::string> shards;
  if (found.empty()) return shards;
  const std::string& first = found.begin()->first;
  const size_t count = found.begin()->second.count;
  for (const auto& [name, shard] : found) {
    if (shard.count != count || shard.number < 1 || shard.number > count || count > kMaxShards) {
      return Error(StatusCode::kDataError,
                   "{}: {} and {}: expected the files 1 to N of one model, with an N of at most "
                   "{}, or {}.index.json, which says which files belong to the model",
                   directory, first, name, kMaxShards, kSingleFile);
    }
  }
  for (size_t number = 1; number <= count; ++number) {
    shards.push_back(ShardText({.number = number, .count = count}));
    if (!found.contains(shards.back())) {
      return Error(StatusCode::kNotFound, "{}/{}: no such file, though {} is here: download it too",
                   directory, shards.back(), first);
    }
  }
  return shards;
}

}  // namespace

Result<TensorFiles> OpenTensorFiles(const std::string& directory,
                                    std::vector<std::string>* warnings) {
  TensorFiles all;
  const std::string single = fmt::format("{}/{}", directory, kSingleFile);
  const std::string index = single + ".index.json";
  const bool has_single = PathExists(single);
  if (PathExists(index)) {
    const Result<WeightMap> map = ReadWeightMap(index);
    if (!has_single && !map.ok()) return map.status();
    if (!has_single || (map.ok() && IndexDecides(directory, *map))) {
      all.path = index;
      FASTVLM_RETURN_IF_ERROR(OpenListedFiles(directory, *map, &all));
      if (has_single && !FilesOf(*map).contains(kSingleFile)) {
        warnings->push_back(fmt::format(
            "{}: not read, since {} lists other files and all of them are here", single, index));
      }
      return all;
    }
  }
  if (has_single) {
    all.path = single;
    FASTVLM_RETURN_IF_ERROR(AddFile(single, &all));
    return all;
  }
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> shards, FindShards(directory));
  if (shards.empty()) {
    return Error(StatusCode::kNotFound,
                 "{}: neither model.safetensors nor model.safetensors.index.json is here; give the "
                 "directory of a downloaded FastVLM",
                 directory);
  }
  all.path = directory;
  for (const std::string& shard : shards) {
    FASTVLM_RETURN_IF_ERROR(AddFile(fmt::format("{}/{}", directory, shard), &all));
  }
  return all;
}

}  // namespace fastvlm
