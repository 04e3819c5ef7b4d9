// The commands of fastvlm-train: one cmd_<name>.cc each, one line in main.cc's table.
#ifndef FASTVLM_TRAIN_COMMANDS_H_
#define FASTVLM_TRAIN_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>

#include "base/status.h"

namespace fastvlm::train {

// Adds the command's arguments to `app`; the returned function runs it. An error of code
// kInvalidArgument is wrong usage and ends the program with 2, any other with 1.
using CommandFn = std::function<Status()>;

CommandFn AddArt(CLI::App& app);
CommandFn AddCorpus(CLI::App& app);
CommandFn AddExport(CLI::App& app);
CommandFn AddPreview(CLI::App& app);
CommandFn AddQuestions(CLI::App& app);
CommandFn AddTokenizer(CLI::App& app);
CommandFn AddTrain(CLI::App& app);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_COMMANDS_H_
