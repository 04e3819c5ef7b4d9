#include <sys/stat.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "train/commands.h"
#include "train/png_file.h"
#include "train/scene/usable.h"
#include "train/trainer/scores.h"

namespace fastvlm::train {
namespace {

struct QuestionsArguments {
  std::string art, output;
  int64_t pictures = 200;
  int64_t first = 1000000;
  int height = 192, width = 192, cell = 32;
};

Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0 || DirectoryExists(path)) return {};
  return Error(StatusCode::kIoError, "{}: cannot make this directory", path);
}

Status WriteBytes(const std::string& path, std::span<const uint8_t> bytes) {
  return WriteFileAtomically(path, {&bytes, 1});
}

Status RunQuestions(const QuestionsArguments& arguments) {
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(arguments.art));
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, false, false));
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, true, false));
  FASTVLM_RETURN_IF_ERROR(MakeDirectory(arguments.output));
  std::string lines;
  for (const Trial& trial : Trials()) {
    FASTVLM_RETURN_IF_ERROR(MakeDirectory(arguments.output + "/" + trial.name));
    int64_t written = 0;
    // A picture without a question of this kind is left out; some trials have many of those.
    for (int64_t i = 0; written < arguments.pictures && i < 50 * arguments.pictures; ++i) {
      const Scene scene = MakeTrialScene(art, trial, arguments.height, arguments.width,
                                         arguments.cell, arguments.first + i);
      if (scene.turns.empty()) continue;
      const std::string name = fmt::format("{}/{:05}.png", trial.name, ++written);
      FASTVLM_RETURN_IF_ERROR(
          WritePng(arguments.output + "/" + name, scene.rgb, scene.height, scene.width));
      for (const Turn& turn : scene.turns) {
        const nlohmann::ordered_json line = {{"image", name},
                                             {"question", turn.question},
                                             {"answer", turn.answer},
                                             {"task", trial.name}};
        lines += line.dump() + "\n";
      }
    }
  }
  return WriteBytes(arguments.output + "/questions.jsonl",
                    {reinterpret_cast<const uint8_t*>(lines.data()), lines.size()});
}

}  // namespace

CommandFn AddQuestions(CLI::App& app) {
  auto arguments = std::make_shared<QuestionsArguments>();
  app.add_option("--art", arguments->art, "Art cache, from 'fastvlm-train art'")->required();
  app.add_option("--output", arguments->output, "Directory to write")->required();
  app.add_option("--pictures", arguments->pictures, "Pictures of each trial")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--first", arguments->first,
                 "Number of the first picture; training scores itself on those from 0 on")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--height", arguments->height, "Pixels, a multiple of 32")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app.add_option("--width", arguments->width, "Pixels, a multiple of 32")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app.footer(
      "Example:\n"
      "  fastvlm-train questions --art build/art/art.cache --output build/questions\n"
      "  fastvlm eval build/questions");
  return [arguments]() -> Status {
    if (arguments->height % arguments->cell != 0 || arguments->width % arguments->cell != 0) {
      return Error(StatusCode::kInvalidArgument, "--height and --width must be multiples of {}",
                   arguments->cell);
    }
    return RunQuestions(*arguments);
  };
}

}  // namespace fastvlm::train
