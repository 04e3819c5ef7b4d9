#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>

#include "text/tokenizer.h"
#include "train/commands.h"
#include "train/trainer/trainer.h"

namespace fastvlm::train {
namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};

void RequestStop(int signal) {
  stop_signal.store(signal);
  stop_requested.store(true);
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C ends the program at once
}

// Keeps freed memory in the process. Every step frees all activations and asks for them again; were
// they given back to the system in between, page faults would take a third of the time.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 256 << 20);
}

std::string Duration(double seconds) {
  const auto total = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

void ShowStep(const StepReport& report, bool terminal) {
  const int64_t step = report.progress.step, steps = report.phase->steps;
  if (!terminal && step % 100 != 0 && step != steps) return;
  constexpr int64_t kWidth = 20;
  const auto filled = static_cast<size_t>(kWidth * step / steps);
  fmt::print(stderr,
             "{}{} [{}{}] {}/{}  answer {:.3f}  words {:.3f}  class {:.3f}  place {:.3f}  look "
             "{:.3f}  |g| {:.1f}  "
             "{:.1f} pictures/s  {} left{}",
             terminal ? "\r\x1b[K" : "", report.phase->name, std::string(filled, '#'),
             std::string(static_cast<size_t>(kWidth) - filled, '.'), step, steps, report.answer,
             report.tied, report.class_, report.place, report.look, report.gradient_norm,
             report.pictures_per_second, Duration(report.seconds_left), terminal ? "" : "\n");
}

void ShowScores(const std::vector<Score>& scores, bool terminal) {
  if (terminal) fmt::print(stderr, "\r\x1b[K");
  std::string line;
  for (size_t i = 0; i < scores.size(); ++i) {
    line += fmt::format("{}{} {:.2f}", i == 0 ? "" : ", ", Trials()[i].name, scores[i].share());
  }
  fmt::print(stderr, "right answers: {}\n", line);
}

struct TrainArguments {
  std::string recipe, art, tokenizer;
  std::string bf16 = "off";
  RunOptions run;
};

bool CpuMultipliesBf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Status RunTrain(TrainArguments& arguments) {
  KeepFreedMemory();
  arguments.run.bf16 = arguments.bf16 == "on" || (arguments.bf16 == "auto" && CpuMultipliesBf16());
  FASTVLM_ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(arguments.recipe));
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(arguments.art));
  FASTVLM_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(arguments.tokenizer));
  FASTVLM_ASSIGN_OR_RETURN(const auto trainer,
                           Trainer::Create(recipe, art, tokenizer, arguments.run));
  if (trainer->progress().total_steps > 0) {
    fmt::print(stderr, "Going on after {} steps, {} pictures.\n", trainer->progress().total_steps,
               trainer->progress().pictures);
  }
  std::signal(SIGINT, RequestStop);
  std::signal(SIGTERM, RequestStop);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  FASTVLM_RETURN_IF_ERROR(trainer->Run(
      stop_requested, [&](const StepReport& report) { ShowStep(report, terminal); },
      [&](const std::vector<Score>& scores) { ShowScores(scores, terminal); }));
  if (!trainer->done()) {
    fmt::print(stderr, "{}Stopped after {} steps; the same command goes on from here.\n",
               terminal ? "\n" : "", trainer->progress().total_steps);
  }
  if (stop_requested.load()) {
    // The program ends as the signal would have ended it, so that no script takes the run for
    // finished.
    std::signal(stop_signal.load(), SIG_DFL);
    std::raise(stop_signal.load());
  }
  return {};
}

}  // namespace

CommandFn AddTrain(CLI::App& app) {
  auto arguments = std::make_shared<TrainArguments>();
  RunOptions& run = arguments->run;
  app.add_option("--recipe", arguments->recipe, "JSON file: network and phases")->required();
  app.add_option("--art", arguments->art, "Art cache, from 'fastvlm-train art'")->required();
  app.add_option("--tokenizer", arguments->tokenizer, "Directory with tokenizer.json")->required();
  app.add_option("--run", run.directory, "Directory of the run; one that was stopped goes on")
      ->required();
  app.add_option("--from", run.from,
                 "Model directory to begin with, of the recipe's shape; default: from nothing");
  app.add_option("--threads", run.threads, "Threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--bf16", arguments->bf16,
                 "Matrix products in bf16; auto: where the CPU has instructions for it. Not always "
                 "faster than f32: try both")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  app.add_option("--save-minutes", run.save_minutes, "Minutes between two saves")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--score-every", run.score_every, "Steps between two measurements of scores")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--score-pictures", run.score_pictures, "Pictures of each trial in a measurement")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--log-every", run.log_every, "Steps between two lines of log.csv")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--max-steps", run.max_steps, "Stop after so many steps; 0: at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.footer(
      "Example:\n"
      "  fastvlm-train train --recipe train/recipes/nano.json --art build/art/art.cache \\\n"
      "    --tokenizer models/nano --run build/nano\n\n"
      "Ctrl-C saves and stops; the same command goes on.");
  return [arguments] { return RunTrain(*arguments); };
}

}  // namespace fastvlm::train
