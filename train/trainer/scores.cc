#include "train/trainer/scores.h"

#include <algorithm>

#include "train/trainer/loss.h"

namespace fastvlm::train {
namespace {

// Training's seeds are mixed to all 64-bit values; a collision with one of these is out of reach.
constexpr uint64_t kTrialSeed = 0x7e57'0000'0000'0000;
constexpr int kAllTurns = 40;
constexpr int64_t kBatch = 16;
constexpr size_t kMostTurns = 2;  // of one picture, so that no picture weighs much

// Whether an answer is digits or one to three letters between quotation marks. The yes or no to
// "Does it say ...?" counts as neither short nor long.
bool IsShortText(const std::string& answer) {
  return answer.size() >= 3 && answer.front() == '"' &&
         (answer.size() <= 5 || answer.find_first_not_of("0123456789\"") == std::string::npos);
}

bool IsLongText(const std::string& answer) {
  return answer.size() > 5 && answer.front() == '"' && !IsShortText(answer);
}

bool IsUpToFour(const std::string& answer) {
  return answer == "Two." || answer == "Three." || answer == "Four.";
}

}  // namespace

const std::vector<Trial>& Trials() {
  static const std::vector<Trial> trials = {
      {.name = "name", .layout = Layout::kSingle, .task = Task::kName},
      {.name = "name_unseen_style",
       .layout = Layout::kSingle,
       .task = Task::kName,
       .held_out_style = true},
      {.name = "describe_one", .layout = Layout::kSingle, .task = Task::kDescribe},
      {.name = "describe_two", .layout = Layout::kPair, .task = Task::kDescribe},
      {.name = "describe_group", .layout = Layout::kGroup, .task = Task::kDescribe},
      {.name = "count_to_four",
       .layout = Layout::kAlike,
       .task = Task::kCount,
       .counts = IsUpToFour},
      {.name = "count", .layout = Layout::kAlike, .task = Task::kCount},
      {.name = "where", .layout = Layout::kGroup, .task = Task::kWhere},
      {.name = "what_at", .layout = Layout::kGroup, .task = Task::kWhatAt},
      {.name = "present_two", .layout = Layout::kPair, .task = Task::kPresent},
      {.name = "present_group", .layout = Layout::kGroup, .task = Task::kPresent},
      {.name = "background", .layout = Layout::kPair, .task = Task::kBackground},
      {.name = "read_short", .layout = Layout::kText, .task = Task::kRead, .counts = IsShortText},
      {.name = "read_word", .layout = Layout::kText, .task = Task::kRead, .counts = IsLongText},
  };
  return trials;
}

Scene MakeTrialScene(const Art& art, const Trial& trial, int height, int width, int cell,
                     int64_t index) {
  SceneOptions options;
  options.height = height;
  options.width = width;
  options.cell = cell;
  options.layout = trial.layout;
  options.turns = kAllTurns;
  options.held_out_style = trial.held_out_style;
  options.augment = false;
  Scene scene = MakeScene(art, options, kTrialSeed + static_cast<uint64_t>(index));
  std::vector<Turn> turns;
  for (Turn& turn : scene.turns) {
    const bool counts = trial.counts == nullptr || trial.counts(turn.answer);
    if (turn.task == trial.task && counts) turns.push_back(std::move(turn));
  }
  if (turns.size() > kMostTurns) turns.resize(kMostTurns);
  scene.turns = std::move(turns);
  return scene;
}

std::vector<Score> MeasureScores(const Network& network, const Vocabulary& vocabulary,
                                 const Art& art, int height, int width, int64_t pictures,
                                 ThreadPool& pool) {
  const int cell = static_cast<int>(network.config.stride());
  const int64_t batches = (pictures + kBatch - 1) / kBatch;
  const auto trials = static_cast<int64_t>(Trials().size());
  std::vector<Score> parts(static_cast<size_t>(trials * batches));
  pool.ParallelFor(trials * batches, [&](int64_t task, int) {
    FlushDenormals();
    const torch::NoGradGuard no_grad;
    std::vector<Scene> scenes;
    for (int64_t i = 0; i < kBatch; ++i) {
      Scene scene = MakeTrialScene(art, Trials()[static_cast<size_t>(task / batches)], height,
                                   width, cell, task % batches * kBatch + i);
      if (!scene.turns.empty()) scenes.push_back(std::move(scene));
    }
    if (scenes.empty()) return;
    std::vector<bool> correct;
    ForwardContext context;
    SceneLosses(network, vocabulary, MakeSceneBatch(vocabulary, scenes, cell), false, context,
                &correct);
    Score& score = parts[static_cast<size_t>(task)];
    score.asked = static_cast<int64_t>(correct.size());
    score.right = std::count(correct.begin(), correct.end(), true);
  });
  std::vector<Score> scores(Trials().size());
  for (size_t i = 0; i < parts.size(); ++i) {
    scores[i / static_cast<size_t>(batches)].asked += parts[i].asked;
    scores[i / static_cast<size_t>(batches)].right += parts[i].right;
  }
  return scores;
}

}  // namespace fastvlm::train
