#include <fmt/format.h>

#include <exception>
#include <string>
#include <vector>

#include "train/commands.h"

namespace fastvlm::train {
namespace {

struct Command {
  const char* name;
  const char* summary;
  CommandFn (*add)(CLI::App& app);
};

const std::vector<Command> kCommands = {
    {"art", "Render icons and fonts into the art cache that training reads.", AddArt},
    {"preview", "Draw a sheet of training pictures and print their questions.", AddPreview},
    {"corpus", "Print questions and answers, the tokenizer's text.", AddCorpus},
    {"questions", "Write pictures and questions for 'fastvlm eval'.", AddQuestions},
    {"tokenizer", "Train a byte-level BPE tokenizer.", AddTokenizer},
    {"train", "Train a model, or go on training it.", AddTrain},
    {"export", "Write a trained model as a checkpoint that fastvlm and transformers load.",
     AddExport},
};

int Main(int argc, char** argv) {
  CLI::App app("fastvlm-train: makes and trains small FastVLM models on an ordinary CPU.",
               "fastvlm-train");
  app.require_subcommand(1);
  Status status;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->callback([&status, run = command.add(*sub)] { status = run(); });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (status.ok()) return 0;
  fmt::print(stderr, "error: {}\n", status.message());
  return status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

}  // namespace
}  // namespace fastvlm::train

int main(int argc, char** argv) {
  try {
    return fastvlm::train::Main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
