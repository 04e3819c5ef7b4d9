// The commands of the program: one cmd_<name>.cc each, one line in main.cc's table.
#ifndef FASTVLM_APPS_COMMANDS_H_
#define FASTVLM_APPS_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "fastvlm/status.h"

namespace fastvlm {

// Exit codes scripts rely on.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// What the program ends with after an error of the library.
inline int ExitCode(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument ? kExitUsage : kExitFailure;
}

// Adds the command's arguments to `app`; the returned function runs it and gives the exit code.
using CommandFn = std::function<int()>;

CommandFn AddBench(CLI::App& app);
CommandFn AddCompare(CLI::App& app);
CommandFn AddDescribe(CLI::App& app);
CommandFn AddEncode(CLI::App& app);
CommandFn AddEval(CLI::App& app);
CommandFn AddInfo(CLI::App& app);
CommandFn AddModels(CLI::App& app);
CommandFn AddPull(CLI::App& app);
CommandFn AddQuantize(CLI::App& app);
CommandFn AddServe(CLI::App& app);
CommandFn AddVerify(CLI::App& app);

// For a command that this program was built without: says so, and which option of CMake adds it.
CommandFn AddMissing(CLI::App& app, const std::string& build_option);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_COMMANDS_H_
