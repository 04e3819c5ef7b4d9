#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/stopwatch.h"
#include "commands.h"
#include "hub/file_ops.h"
#include "hub/pull.h"
#include "model_cache.h"
#include "terminal.h"

namespace fastvlm {
namespace {

struct PullFlags {
  std::string model;
  std::string sha256;
  bool accept = false;
  bool quiet = false;
};

// Set by the first Ctrl-C; what was fetched stays for the next pull. The second one ends the
// program at once, which loses nothing either.
std::atomic<bool> stopped = false;
void StopOnce(int signal_number) {
  stopped.store(true);
  signal(signal_number, SIG_DFL);
}

bool IsTerminal() { return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0; }

// Shows a licence once; asks where someone can answer.
bool ShowLicence(std::string text, bool ask) {
  std::erase(text, '\r');
  Say("\n{}{}\n", text, text.ends_with('\n') ? "" : "\n");
  if (!ask) return true;
  Say("Fetch the model under this licence? [y/N] ");
  std::fflush(stderr);
  std::string answer;
  for (int c = std::getchar(); c != EOF && c != '\n'; c = std::getchar()) {
    answer += static_cast<char>(c);
  }
  return answer == "y" || answer == "Y" || answer == "yes";
}

// One line that is redrawn. Where standard error is no terminal, it is a line for each file.
class PullProgress {
 public:
  explicit PullProgress(bool quiet) : quiet_(quiet) {}

  void Update(const std::string& file, int64_t done, int64_t total) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point now = Clock::now();
    if (first_ < 0) {
      first_ = done;
      start_ = now;
    }
    if (file != file_) {
      Line(file, total);
      file_ = file;
      shown_ = {};
    }
    if (total <= 0 || now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 1 ? static_cast<double>(done - first_) / seconds : 0;
    std::string detail = fmt::format("  {} of {}", ByteText(done), ByteText(total));
    if (rate > 0) {
      detail += fmt::format(", {}/s, {:.0f} s left", ByteText(static_cast<int64_t>(rate)),
                            static_cast<double>(total - done) / rate);
    }
    if (!quiet_) line_.Update(static_cast<double>(done) / static_cast<double>(total), detail);
  }
  void Clear() { line_.Clear(); }

 private:
  void Line(const std::string& file, int64_t) const {
    if (!quiet_ && isatty(STDERR_FILENO) == 0) Say("  {}\n", file);
  }

  bool quiet_;
  ProgressLine line_{"Fetching"};
  std::string file_;
  int64_t first_ = -1;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

PullEvents Events(const PullFlags& flags, const ModelSource& source, PullProgress& progress) {
  PullEvents events;
  events.planned = [&](const PullPlan& plan) {
    if (IsFromApple(source)) {
      Say("The weights of FastVLM are Apple's, licensed for research purposes only:\n"
          "https://github.com/apple/ml-fastvlm/blob/main/LICENSE_MODEL\n");
    } else if (!plan.licence.empty()) {
      Say("Licence: {}\n", plan.licence);
    }
    if (flags.quiet) return;
    const std::string there =
        plan.already_there > 0 ? fmt::format(", {} are here already", ByteText(plan.already_there))
                               : "";
    Say("{}: {}{}{}\n", plan.name,
        plan.bytes < 0 ? "an archive" : fmt::format("{} files", plan.files),
        plan.bytes < 0 ? "" : ", " + ByteText(plan.bytes), there);
  };
  events.licence = [&](const std::string& text) {
    progress.Clear();
    return ShowLicence(text, IsTerminal() && !flags.accept);
  };
  events.progress = [&](const std::string& file, int64_t done, int64_t total) {
    progress.Update(file, done, total);
  };
  events.note = [&](const std::string& text) {
    progress.Clear();
    PrintWarning(text);
  };
  return events;
}

Status Pull(const PullFlags& flags) {
  const Result<ModelSource> source = ParseModelSource(flags.model);
  if (!source.ok()) return source.status();
  const Result<ModelCache> cache = OpenModelCache();
  if (!cache.ok()) return cache.status();
  PullOptions options;
  options.token = Environment("HF_TOKEN");
  options.sha256 = flags.sha256;
  if (const std::string endpoint = Environment("HF_ENDPOINT"); !endpoint.empty()) {
    options.endpoint = endpoint;
    while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
  }
  options.http.stop = [] { return stopped.load(); };
  for (int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, StopOnce);
  const Stopwatch stopwatch;
  PullProgress progress(flags.quiet);
  const Result<PulledModel> pulled =
      PullModel(*source, *cache, options, Events(flags, *source, progress));
  progress.Clear();
  if (!pulled.ok()) {
    if (pulled.status().code() != StatusCode::kCancelled || !stopped.load()) return pulled.status();
    return Status(StatusCode::kCancelled, "stopped; the next pull goes on from here");
  }
  if (!flags.quiet) {
    if (pulled->was_there) {
      Say("{} is here and up to date\n", pulled->name);
    } else {
      Say("{}: {} in {:.0f} s; try: fastvlm describe --model {} picture.jpg\n", pulled->name,
          ByteText(pulled->bytes), stopwatch.Milliseconds() / 1000, pulled->name);
    }
  }
  Print("{}\n", pulled->directory);
  return {};
}

int Run(const PullFlags& flags) {
  const Status status = Pull(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

}  // namespace

CommandFn AddPull(CLI::App& app) {
  auto flags = std::make_shared<PullFlags>();
  std::string archives;
  for (const std::string& name : AppleArchives()) archives += "\n  " + name;
  app.footer(
      "Examples:\n"
      "  fastvlm pull apple/FastVLM-0.5B        (also -1.5B and -7B)\n"
      "  fastvlm pull hf:owner/name@revision\n"
      "  fastvlm pull https://ml-site.cdn-apple.com/datasets/fastvlm/"
      "llava-fastvithd_0.5b_stage3.zip\n"
      "  fastvlm describe --model FastVLM-0.5B picture.jpg\n"
      "\n"
      "Models go to $XDG_CACHE_HOME/fastvlm (~/.cache/fastvlm). Stopped at any time, the next "
      "pull\n"
      "goes on from there. The directory of the model is printed to standard output.\n"
      "HF_ENDPOINT names another hub, HF_TOKEN a token for models that need one.\n"
      "Apple's archives by name:" +
      archives);
  app.add_option(
         "MODEL", flags->model,
         "owner/name on the Hugging Face hub, the URL of a zip file, or the name of one of\n"
         "Apple's archives")
      ->required();
  app.add_option("--sha256", flags->sha256, "SHA-256 that a zip file must have")
      ->check([](const std::string& text) {
        const bool ok =
            text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
        return ok ? "" : "'" + text + "' is not 64 lower-case hexadecimal digits";
      })
      ->type_name("HEX");
  app.add_flag("--accept-license,--accept-licence", flags->accept,
               "Show the model's licence, but do not ask");
  app.add_flag("-q,--quiet", flags->quiet, "No progress on standard error");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
