// In place of fetched.cc, cmd_pull.cc and cmd_models.cc, in a program without the hub.
#include <fmt/format.h>

#include "commands.h"
#include "fetched.h"

namespace fastvlm {

Result<std::string> FetchedModel(const std::string& name) {
  return Status(StatusCode::kNotFound,
                fmt::format("{}: no such directory, and this program was built without the hub "
                            "(FASTVLM_BUILD_HUB), which keeps models by name",
                            name));
}

Result<std::string> FetchedPicture(const std::string& url) {
  return Status(StatusCode::kUnsupported,
                fmt::format("{}: this program was built without the hub (FASTVLM_BUILD_HUB), which "
                            "fetches; fetch it by other means and name the file with --image",
                            url));
}

CommandFn AddModels(CLI::App& app) { return AddMissing(app, "FASTVLM_BUILD_HUB"); }

CommandFn AddPull(CLI::App& app) { return AddMissing(app, "FASTVLM_BUILD_HUB"); }

}  // namespace fastvlm
