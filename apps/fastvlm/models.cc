#include "models.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "hub/source.h"
#include "terminal.h"

namespace fastvlm {
namespace {

constexpr const char* kBundledModel = "share/fastvlm/models/nano";
constexpr const char* kBundledName = "nano";

Status NoSuchModel(const std::string& name, const ModelCache& cache) {
  std::string cached;
  for (const CachedModel& model : cache.List()) {
    if (model.complete) cached += (cached.empty() ? "" : ", ") + model.name;
  }
  const Result<ModelSource> source = ParseModelSource(name);
  const bool is_path = name.starts_with('/') || name.starts_with('.');
  const std::string pull = source.ok() && !is_path ? name : "apple/FastVLM-0.5B";
  return Status(StatusCode::kNotFound,
                fmt::format("{}: no such directory, and no fetched model of this name (there {}); "
                            "'fastvlm pull {}' fetches {}",
                            name, cached.empty() ? "is none" : "are: " + cached, pull,
                            pull == name ? "it" : "one"));
}

}  // namespace

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<ModelCache> OpenModelCache() {
  // The XDG specification says that a relative path is to be ignored.
  std::string base = Environment("XDG_CACHE_HOME");
  if (!base.starts_with('/')) {
    base = Environment("HOME");
    if (!base.starts_with('/')) {
      return Status(StatusCode::kNotFound,
                    "no place for models: set XDG_CACHE_HOME or HOME to a directory");
    }
    base += "/.cache";
  }
  return ModelCache(base + "/fastvlm");
}

Result<std::string> FindBundledModel() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return Status(StatusCode::kNotFound,
                  fmt::format("no --model, and the bundled model cannot be looked for: "
                              "/proc/self/exe: {}",
                              error.message()));
  }
  const std::filesystem::path directory = program.parent_path().parent_path() / kBundledModel;
  if (!std::filesystem::exists(directory / "config.json", error)) {
    return Status(StatusCode::kNotFound,
                  fmt::format("no --model, and no bundled model in {}; name the directory of a "
                              "FastVLM checkpoint with --model DIR",
                              directory.string()));
  }
  return directory.string();
}

Result<std::string> ModelDirectory(const std::string& flag) {
  std::error_code error;
  if (flag.empty()) return FindBundledModel();
  if (std::filesystem::exists(flag, error)) return flag;
  if (flag == kBundledName) return FindBundledModel();
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  Result<CachedModel> model = cache->Find(flag);
  if (!model.ok()) {
    // As it was given to `fastvlm pull`.
    const Result<ModelSource> source = ParseModelSource(flag);
    if (source.ok()) model = cache->Find(source->name);
  }
  if (model.ok()) return model->directory;
  return NoSuchModel(flag, *cache);
}

Result<std::string> VisionDirectory(const std::string& flag) {
  return flag.empty() ? flag : ModelDirectory(flag);
}

Result<std::shared_ptr<const Model>> LoadModel(const ModelFlags& flags) {
  const Result<std::string> directory = ModelDirectory(flags.directory);
  if (!directory.ok()) return directory.status();
  const Result<std::string> vision = VisionDirectory(flags.options.vision_directory);
  if (!vision.ok()) return vision.status();
  ModelOptions options = flags.options;
  options.vision_directory = *vision;
  ProgressLine progress("Loading ");
  Result<std::shared_ptr<const Model>> model =
      Model::Load(*directory, options, [&](double done) { progress.Update(done); });
  progress.Clear();
  if (!model.ok()) return model.status();
  for (const std::string& warning : (*model)->info().warnings) PrintWarning(warning);
  return model;
}

}  // namespace fastvlm
