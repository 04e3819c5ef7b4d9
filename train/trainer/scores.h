// How often whole answers are right, on pictures that no training shows.
#ifndef FASTVLM_TRAIN_TRAINER_SCORES_H_
#define FASTVLM_TRAIN_TRAINER_SCORES_H_

#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "train/nn/network.h"
#include "train/scene/scene.h"
#include "train/trainer/batch.h"

namespace fastvlm::train {

// A kind of question asked of a kind of picture.
struct Trial {
  std::string name;  // "name_unseen_style"
  Layout layout = Layout::kAny;
  Task task = Task::kName;
  bool held_out_style = false;
  bool (*counts)(const std::string& answer) = nullptr;  // only such answers; null: all
};

// The trials every training run and the published scores use.
const std::vector<Trial>& Trials();

// Number `index` of the pictures of a trial, with only its questions left: none if it has none.
// Not augmented, from seeds that training never uses.
Scene MakeTrialScene(const Art& art, const Trial& trial, int height, int width, int cell,
                     int64_t index);

struct Score {
  int64_t asked = 0, right = 0;
  double share() const { return asked == 0 ? 0 : double(right) / double(asked); }
};

// A score for each of Trials(), each from about `pictures` pictures of height x width.
std::vector<Score> MeasureScores(const Network& network, const Vocabulary& vocabulary,
                                 const Art& art, int height, int width, int64_t pictures,
                                 ThreadPool& pool);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_SCORES_H_
