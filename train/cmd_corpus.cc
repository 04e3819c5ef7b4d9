#include <fmt/format.h>

#include <memory>
#include <string>

#include "train/art/art.h"
#include "train/commands.h"
#include "train/scene/corpus.h"
#include "train/scene/scene.h"
#include "train/scene/usable.h"

namespace fastvlm::train {
namespace {

struct CorpusOptions {
  std::string art;
  int scenes = 20000;
  uint64_t seed = 1;
};

Status RunCorpus(const CorpusOptions& options) {
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(options.art));
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, false, false));
  for (const std::string& line : SystematicLines(art)) fmt::print("{}\n", line);
  SceneOptions scene;
  scene.height = scene.width = 64;  // only the words are wanted
  scene.turns = 8;
  for (int i = 0; i < options.scenes; ++i) {
    const uint64_t seed = options.seed + static_cast<uint64_t>(i);
    for (const std::string& line : SceneLines(MakeScene(art, scene, seed))) {
      fmt::print("{}\n", line);
    }
    for (const std::string& line : PromptLines()) fmt::print("{}\n", line);
  }
  return Status();
}

}  // namespace

CommandFn AddCorpus(CLI::App& app) {
  auto options = std::make_shared<CorpusOptions>();
  app.add_option("--art", options->art, "Art cache of `fastvlm-train art`")->required();
  app.add_option("--scenes", options->scenes, "Random scenes besides the systematic lines")
      ->check(CLI::Range(0, 10'000'000))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "Of the first scene; the next follow")
      ->capture_default_str();
  return [options] { return RunCorpus(*options); };
}

}  // namespace fastvlm::train
