#include "hub/cache.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "hub/file_ops.h"

namespace fastvlm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestName = "/.fastvlm.json";
constexpr size_t kMaxManifestBytes = size_t{4} << 20;
constexpr int64_t kVersion = 1;  // of the manifest

int64_t TreeBytes(const std::string& directory) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) bytes += static_cast<int64_t>(it->file_size(ignored));
  }
  return bytes;
}

// Calls visit(name, directory) for each ROOT/owner/name.
template <typename Visit>
void ForEachModel(const std::string& root, Visit&& visit) {
  std::error_code error;
  for (fs::directory_iterator owner(root, error), end; !error && owner != end;
       owner.increment(error)) {
    std::error_code inner;
    for (fs::directory_iterator model(owner->path(), inner); !inner && model != end;
         model.increment(inner)) {
      std::error_code ignored;
      if (!model->is_directory(ignored)) continue;
      visit(owner->path().filename().string() + "/" + model->path().filename().string(),
            model->path().string());
    }
  }
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string ShortName(const std::string& name) { return name.substr(name.find('/') + 1); }

// Models whose full or short name is `name`, the closest kind of match that there is.
std::vector<CachedModel> Matches(const std::vector<CachedModel>& models, const std::string& name) {
  const auto matches = [&](auto&& same) {
    std::vector<CachedModel> found;
    std::copy_if(models.begin(), models.end(), std::back_inserter(found), same);
    return found;
  };
  const std::string lower = Lower(name);
  for (const auto& found :
       {matches([&](const CachedModel& m) { return m.name == name; }),
        matches([&](const CachedModel& m) { return ShortName(m.name) == name; }),
        matches([&](const CachedModel& m) { return Lower(m.name) == lower; }),
        matches([&](const CachedModel& m) { return Lower(ShortName(m.name)) == lower; })}) {
    if (!found.empty()) return found;
  }
  return {};
}

// "owner@name", for one directory or file for each model.
std::string FlatName(std::string name) {
  std::replace(name.begin(), name.end(), '/', '@');
  return name;
}

Result<CachedFile> ParseFile(const nlohmann::json& entry, const std::string& path) {
  if (!entry.is_object()) {
    return Error(StatusCode::kDataError, "{}: files must be objects, found {}", path,
                 JsonText(entry));
  }
  const JsonFields fields(entry, path, "files.");
  CachedFile file;
  FASTVLM_ASSIGN_OR_RETURN(file.name, fields.StringOr("name", ""));
  FASTVLM_ASSIGN_OR_RETURN(file.size, fields.Integer("size", 0, kMaxFileBytes));
  for (const auto& [name, kind] :
       {std::pair("sha256", DigestKind::kSha256), std::pair("git_sha1", DigestKind::kGitBlob)}) {
    if (fields.Find(name) == nullptr) continue;
    FASTVLM_ASSIGN_OR_RETURN(file.digest.hex, fields.StringOr(name, ""));
    file.digest.kind = kind;
  }
  return file;
}

}  // namespace

Result<Manifest> ReadManifest(const std::string& directory) {
  const std::string path = directory + kManifestName;
  FASTVLM_ASSIGN_OR_RETURN(const nlohmann::json object, ReadJsonObject(path, kMaxManifestBytes));
  const JsonFields fields(object, path);
  FASTVLM_ASSIGN_OR_RETURN(const int64_t version,
                           fields.IntegerOr("version", 1, INT32_MAX, kVersion));
  if (version > kVersion) {
    return Error(StatusCode::kUnsupported,
                 "{}: a newer fastvlm fetched this model: its record has version {}, this program "
                 "reads {}; update fastvlm, or remove the model with 'fastvlm models remove' and "
                 "fetch it again",
                 path, version, kVersion);
  }
  Manifest manifest;
  FASTVLM_ASSIGN_OR_RETURN(manifest.source, fields.StringOr("source", ""));
  FASTVLM_ASSIGN_OR_RETURN(manifest.revision, fields.StringOr("revision", ""));
  FASTVLM_ASSIGN_OR_RETURN(manifest.licence, fields.StringOr("licence", ""));
  FASTVLM_ASSIGN_OR_RETURN(manifest.pulled, fields.StringOr("pulled", ""));
  const nlohmann::json* files = fields.Find("files");
  if (files == nullptr || !files->is_array()) return fields.Wrong("files", "a list");
  for (const nlohmann::json& entry : *files) {
    FASTVLM_ASSIGN_OR_RETURN(CachedFile file, ParseFile(entry, path));
    manifest.files.push_back(std::move(file));
  }
  return manifest;
}

Status WriteManifest(const std::string& directory, const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const CachedFile& file : manifest.files) {
    nlohmann::ordered_json entry = {{"name", file.name}, {"size", file.size}};
    if (file.digest.kind == DigestKind::kSha256) entry["sha256"] = file.digest.hex;
    if (file.digest.kind == DigestKind::kGitBlob) entry["git_sha1"] = file.digest.hex;
    files.push_back(std::move(entry));
  }
  const nlohmann::ordered_json object = {
      {"version", kVersion},         {"source", manifest.source}, {"revision", manifest.revision},
      {"licence", manifest.licence}, {"pulled", manifest.pulled}, {"files", std::move(files)}};
  const std::string text =
      object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(directory + kManifestName, {&bytes, 1});
}

std::string ModelCache::LockPath(const std::string& name) const {
  return root_ + "/locks/" + FlatName(name);
}

std::string ModelCache::OldDirectory(const std::string& name) const {
  return root_ + "/old/" + FlatName(name);  // no model is called "old"
}

void ModelCache::Recover() const {
  const Result<std::vector<std::string>> names = ListDirectory(root_ + "/old");
  if (!names.ok()) return;  // nothing was ever moved aside
  for (const std::string& flat : *names) {
    std::string name = flat;  // owners have no '@' in their names
    if (const size_t at = name.find('@'); at != std::string::npos) name[at] = '/';
    if (!MakeDirectories(root_ + "/locks").ok()) return;
    const Result<FileLock> lock = FileLock::TryAcquire(LockPath(name));
    if (!lock.ok()) continue;
    if (!RestoreDirectory(ModelDirectory(name), OldDirectory(name)).ok()) continue;
    if (DirectoryExists(ModelDirectory(name))) {
      [[maybe_unused]] const Status removed = RemoveTree(OldDirectory(name));
    }
  }
}

std::vector<CachedModel> ModelCache::List() const {
  std::vector<CachedModel> models;
  ForEachModel(root_ + "/models", [&](const std::string& name, const std::string& directory) {
    Result<Manifest> manifest = ReadManifest(directory);
    const Status status = manifest.status();
    const bool newer = status.code() == StatusCode::kUnsupported;
    if (!status.ok() && !newer) return;
    models.push_back({name, directory, TreeBytes(directory), true,
                      newer ? Manifest() : std::move(manifest).value(), status});
  });
  ForEachModel(root_ + "/partial", [&](const std::string& name, const std::string& directory) {
    models.push_back({name, directory, TreeBytes(directory), false, {}, {}});
  });
  std::sort(models.begin(), models.end(), [](const CachedModel& a, const CachedModel& b) {
    return std::tie(a.name, b.complete) < std::tie(b.name, a.complete);
  });
  return models;
}

Result<CachedModel> ModelCache::FindIn(const std::vector<CachedModel>& models,
                                       const std::string& name) const {
  const std::vector<CachedModel> found = Matches(models, name);
  if (found.size() == 1) return found[0];
  std::string names;
  for (const CachedModel& model : found.empty() ? models : found) {
    names += (names.empty() ? "" : ", ") + Printable(model.name);
  }
  if (found.size() > 1) {
    return Error(StatusCode::kNotFound, "{}: more than one cached model has this name: {}",
                 Quoted(name), names);
  }
  return Error(StatusCode::kNotFound, "{}: no such model; cached in {}: {}", Quoted(name), root_,
               names.empty() ? "none" : names);
}

Result<CachedModel> ModelCache::Find(const std::string& name) const {
  std::vector<CachedModel> models = List();
  std::erase_if(models, [](const CachedModel& model) { return !model.complete; });
  FASTVLM_ASSIGN_OR_RETURN(CachedModel found, FindIn(models, name));
  FASTVLM_RETURN_IF_ERROR(found.newer);
  return found;
}

Result<int64_t> ModelCache::Remove(const std::string& name) const {
  const std::vector<CachedModel> all = List();
  std::vector<CachedModel> distinct = all;
  distinct.erase(std::unique(distinct.begin(), distinct.end(),
                             [](const auto& a, const auto& b) { return a.name == b.name; }),
                 distinct.end());
  FASTVLM_ASSIGN_OR_RETURN(const CachedModel found, FindIn(distinct, name));
  FASTVLM_RETURN_IF_ERROR(MakeDirectories(root_ + "/locks"));
  FASTVLM_ASSIGN_OR_RETURN(const FileLock lock, FileLock::TryAcquire(LockPath(found.name)));
  int64_t bytes = 0;
  for (const CachedModel& model : all) {
    if (model.name != found.name) continue;
    // Without its manifest it is no model any more, should this end half way.
    std::error_code ignored;
    fs::remove(model.directory + kManifestName, ignored);
    FASTVLM_RETURN_IF_ERROR(RemoveTree(model.directory));
    fs::remove(fs::path(model.directory).parent_path(), ignored);  // the owner's, if it is empty
    bytes += model.bytes;
  }
  return bytes;
}

}  // namespace fastvlm
