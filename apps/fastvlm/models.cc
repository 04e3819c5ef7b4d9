#include "models.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "fastvlm/system.h"
#include "fetched.h"
#include "terminal.h"

namespace fastvlm {
namespace {

constexpr const char* kBundledName = "nano";

Result<std::string> BundledModel() {
  Result<std::string> directory = FindBundledModel();
  if (directory.ok()) return directory;
  return Status(directory.status().code(),
                fmt::format("no --model, and {}; name the directory of a FastVLM checkpoint with "
                            "--model DIR",
                            directory.status().message()));
}

}  // namespace

Result<std::string> ModelDirectory(const std::string& flag) {
  std::error_code error;
  if (flag.empty()) return BundledModel();
  if (std::filesystem::exists(flag, error)) return flag;
  if (flag == kBundledName) return BundledModel();
  return FetchedModel(flag);
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
  for (const std::string& warning : (*model)->info().warnings) PrintWarning(WithFlagNames(warning));
  return model;
}

}  // namespace fastvlm
