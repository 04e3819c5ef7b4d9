#include "models.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "terminal.h"

namespace fastvlm {
namespace {

constexpr const char* kBundledModel = "share/fastvlm/models/nano";

}  // namespace

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
  if (!flag.empty()) return flag;
  return FindBundledModel();
}

Result<std::shared_ptr<const Model>> LoadModel(const ModelFlags& flags) {
  const Result<std::string> directory = ModelDirectory(flags.directory);
  if (!directory.ok()) return directory.status();
  ProgressLine progress("Loading ");
  Result<std::shared_ptr<const Model>> model =
      Model::Load(*directory, flags.options, [&](double done) { progress.Update(done); });
  progress.Clear();
  if (!model.ok()) return model.status();
  for (const std::string& warning : (*model)->info().warnings) PrintWarning(warning);
  return model;
}

}  // namespace fastvlm
