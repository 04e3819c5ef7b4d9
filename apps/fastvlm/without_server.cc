// In place of cmd_serve.cc, in a program without the server.
#include "commands.h"

namespace fastvlm {

CommandFn AddServe(CLI::App& app) { return AddMissing(app, "FASTVLM_BUILD_SERVER"); }

}  // namespace fastvlm
