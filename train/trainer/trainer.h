// A training run in a directory of its own.
//   state.safetensors  what it needs to go on, replaced every few minutes
//   log.csv            losses, learning rate and gradient norm, a line every few steps
//   scores.csv         share of right answers per trial
#ifndef FASTVLM_TRAIN_TRAINER_TRAINER_H_
#define FASTVLM_TRAIN_TRAINER_TRAINER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "train/art/art.h"
#include "train/trainer/loss.h"
#include "train/trainer/recipe.h"
#include "train/trainer/scores.h"
#include "train/trainer/state.h"

namespace fastvlm::train {

struct RunOptions {
  std::string directory;
  std::string from;  // directory of an exported model that a new run begins with; empty: none
  int threads = 2;
  double save_minutes = 3;
  int64_t score_every = 500;    // steps; 0: only at the end of a phase
  int64_t score_pictures = 64;  // of each trial
  int64_t log_every = 20;       // steps
  bool bf16 = false;            // products in bf16; a resumed run should keep to its choice
  int64_t max_steps = 0;        // stop after as many more, 0: at the end
};

struct StepReport {
  const Phase* phase = nullptr;
  Progress progress;
  double answer = 0, tied = 0, class_ = 0, place = 0, look = 0, gradient_norm = 0,
         learning_rate = 0;
  double pictures_per_second = 0;  // since the phase was started or resumed
  double seconds_left = 0;         // of this phase, at that rate
};

class Trainer {
 public:
  // Starts a run, from nothing or from a model, or goes on with the one in the directory. A resumed
  // run does exactly what an uninterrupted one would have done, on any number of threads.
  static Result<std::unique_ptr<Trainer>> Create(const Recipe& recipe, const Art& art,
                                                 const Tokenizer& tokenizer,
                                                 const RunOptions& options);

  // The run in the directory as it was saved last, which is not changed. kNotFound if there is
  // none.
  static Result<std::unique_ptr<Trainer>> Open(const Recipe& recipe, const Art& art,
                                               const Tokenizer& tokenizer,
                                               const RunOptions& options);

  // Trains until the end, max_steps, or `stop`; saves the state before it returns. `report` is
  // called after each step, `scored` after each measurement.
  Status Run(const std::atomic<bool>& stop, const std::function<void(const StepReport&)>& report,
             const std::function<void(const std::vector<Score>&)>& scored);

  bool done() const { return progress_.phase == static_cast<int64_t>(recipe_.phases.size()); }
  const Progress& progress() const { return progress_; }
  const Network& network() const { return *network_; }

 private:
  Trainer(const Recipe& recipe, const Art& art, Vocabulary vocabulary, const RunOptions& options);
  std::string StatePath() const { return options_.directory + "/state.safetensors"; }
  Status Load();
  Status TrimLogs();
  Status Save();
  void RecentreNetwork();
  // The losses of one micro batch: of the pictures first, first + 1, ... of a step. With
  // context.training the encoder of scenes has a gradient.
  Losses PictureLosses(const Phase& phase, const SizeChoice& size, uint64_t step_seed,
                       int64_t first, ForwardContext& context) const;
  struct ShardResult;
  ShardResult TrainShard(const Phase& phase, const SizeChoice& size, uint64_t step_seed,
                         int64_t shard);
  Result<StepReport> Step(const Phase& phase);
  Status Score(const std::function<void(const std::vector<train::Score>&)>& scored);

  Recipe recipe_;
  const Art& art_;
  Vocabulary vocabulary_;
  RunOptions options_;
  ThreadPool pool_;
  std::shared_ptr<Network> network_;
  std::vector<Parameter> parameters_;
  Progress progress_;
};

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_TRAINER_H_
