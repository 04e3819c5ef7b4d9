#include <fmt/format.h>
#include <signal.h>

#include <exception>
#include <string>

#include "base/printable.h"
#include "commands.h"
#include "fastvlm/system.h"
#include "terminal.h"

namespace fastvlm {
namespace {

struct Command {
  const char* name;
  const char* summary;
  CommandFn (*add)(CLI::App& app);
};

constexpr Command kCommands[] = {
    {"bench", "Measure how fast a model runs, beside what this machine can do", AddBench},
    {"compare", "Measure what a precision or a quantized file loses", AddCompare},
    {"describe", "Answer a question about images, by default describe them", AddDescribe},
    {"encode", "Write the visual tokens of an image to a NumPy file", AddEncode},
    {"eval", "Ask the questions of a dataset and count the right answers", AddEval},
    {"info", "Show a model, the CPU and the kernels chosen for it", AddInfo},
    {"models", "List the models that were fetched, or remove one", AddModels},
    {"pull", "Fetch a model: apple/FastVLM-0.5B, or another of the Hugging Face hub", AddPull},
    {"quantize", "Write a model as GGUF files: smaller, and quick to start", AddQuantize},
    {"serve", "Answer requests over HTTP, as OpenAI and Ollama do", AddServe},
    {"verify", "Check a model's numbers against those that were published for it", AddVerify},
};

constexpr const char* kDescription =
    "fastvlm: Apple's FastVLM on an ordinary CPU. A picture in, words out; nothing leaves the "
    "machine.";

constexpr const char* kExamples =
    "Examples:\n"
    "  fastvlm describe picture.png\n"
    "  fastvlm pull apple/FastVLM-0.5B\n"
    "  fastvlm describe --model FastVLM-0.5B photo.jpg\n"
    "  fastvlm describe --model FastVLM-0.5B --prompt \"What does the sign say?\" *.jpg\n"
    "  fastvlm info FastVLM-0.5B\n"
    "  fastvlm serve\n"
    "\n"
    "'fastvlm COMMAND --help' says more about a command.";

std::string CommitText() {
  const std::string commit = Commit();
  return commit.empty() ? "commit unknown: built from sources without git" : "commit " + commit;
}

int Main(int argc, char** argv) {
  CLI::App app(kDescription, "fastvlm");
  app.footer(kExamples);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("error: {}\nRun with --help for what is expected.\n",
                       TerminalText(error.what()));
  });
  app.set_version_flag("--version",
                       [] { return fmt::format("fastvlm {} ({})", Version(), CommitText()); });
  int exit_code = kExitOk;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->option_defaults()->take_last();  // of a flag given twice
    sub->callback([&exit_code, run = command.add(*sub)] { exit_code = run(); });
  }
  app.allow_extras();  // to name an unknown command
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (!app.remaining().empty()) {
    PrintError(
        fmt::format("'{}' is no command; fastvlm --help lists them", app.remaining().front()));
    return kExitUsage;
  }
  if (app.get_subcommands().empty()) {
    Say("{}", app.help());
    return kExitUsage;
  }
  return exit_code;
}

}  // namespace
}  // namespace fastvlm

int main(int argc, char** argv) {
  fastvlm::OpenStandardStreams();
  // A limit on the size of files (ulimit -f) is an error of write() like any other, after which
  // temporary files are removed.
  signal(SIGXFSZ, SIG_IGN);
  try {
    return fastvlm::FinishOutput(fastvlm::Main(argc, argv));
  } catch (const std::exception& error) {
    fastvlm::PrintError(error.what());
    return fastvlm::kExitFailure;
  }
}
