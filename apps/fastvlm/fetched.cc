#include "fetched.h"

#include <fmt/format.h>

#include "hub/download.h"
#include "hub/file_ops.h"
#include "hub/model_files.h"
#include "hub/source.h"
#include "model_cache.h"
#include "terminal.h"

namespace fastvlm {
namespace {

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

Result<std::string> FetchedModel(const std::string& name) {
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  Result<CachedModel> model = cache->Find(name);
  if (!model.ok()) {
    // As it was given to `fastvlm pull`.
    const Result<ModelSource> source = ParseModelSource(name);
    if (source.ok()) model = cache->Find(source->name);
  }
  if (model.ok()) return model->directory;
  if (model.status().code() == StatusCode::kUnsupported) return model.status();
  return NoSuchModel(name, *cache);
}

Result<std::string> FetchedPicture(const std::string& url) {
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  const std::string directory = cache->root() + "/golden";
  const Status made = MakeDirectories(directory);
  if (!made.ok()) return made;
  const std::string name = url.substr(url.rfind('/') + 1);
  if (!IsSafeName(name)) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: expected a URL that ends with the name of a picture", url));
  }
  const std::string path = directory + "/" + name;
  if (FileSize(path) < 0) Say("Fetching the picture {}\n", url);
  const Download download{url, "", path, -1, {}};
  const auto small = [&](int64_t bytes) {
    if (bytes <= int64_t{64} << 20) return Status();
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{}: {} bytes, too many for a picture", url, bytes));
  };
  const Status status = DownloadFile(download, HttpOptions(), {}, small);
  if (status.ok()) return path;
  return Status(status.code(),
                status.message() + "; or fetch it by other means and name the file with --image");
}

}  // namespace fastvlm
