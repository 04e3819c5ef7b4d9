// A run small enough for a test: a few dozen plain shapes, a network of some thousand weights.
#ifndef FASTVLM_TRAIN_TRAINER_TEST_RUN_H_
#define FASTVLM_TRAIN_TRAINER_TEST_RUN_H_

#include <gtest/gtest.h>

#include <string>

#include "base/file.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"
#include "train/scene/test_art.h"
#include "train/tokenizer/bpe_trainer.h"
#include "train/tokenizer/tokenizer_files.h"

namespace fastvlm::train {

inline std::string ToyRecipe(bool multi_branch, int64_t crop_steps, int64_t scene_steps) {
  return fmt::format(R"({{
    "seed": 5, "shards": 2,
    "network": {{"stages": "8:1:2,16:1:2,32:1:2,64:1:2:a", "multi_branch": {}, "image_size": 64,
                "hidden": 32, "layers": 2, "heads": 2, "kv_heads": 1, "intermediate": 64}},
    "phases": [
      {{"name": "crops", "data": "crops", "steps": {}, "batch": 8, "micro_batch": 2,
        "sizes": [[32, 32, 1]], "learning_rate": 0.003}},
      {{"name": "scenes", "data": "scenes", "steps": {}, "batch": 8, "micro_batch": 4,
        "sizes": [[64, 64, 3], [96, 64, 1]], "pad": true, "learning_rate": 0.003}}
    ]}})",
                     multi_branch, crop_steps, scene_steps);
}

// art.cache, recipe.json and tokenizer/ in a directory of their own.
class ToyRun {
 public:
  explicit ToyRun(bool multi_branch = false, int64_t crop_steps = 4, int64_t scene_steps = 4) {
    EXPECT_TRUE(WriteCache(art_path(), TestContents()).ok());
    directory_.Write("recipe.json", ToyRecipe(multi_branch, crop_steps, scene_steps));
    WordCounts words;
    for (int i = 0; i < 3; ++i) {
      words.AddLine("You are a helpful assistant. system user assistant");
      words.AddLine("What is in the picture? Describe the image. On the left. Yes. No. There");
    }
    EXPECT_TRUE(WriteTokenizer(TrainBpe(words, {}), tokenizer_path()).ok());
  }

  std::string Path(const std::string& name) const { return directory_.Path(name); }
  std::string art_path() const { return Path("art.cache"); }
  std::string recipe_path() const { return Path("recipe.json"); }
  std::string tokenizer_path() const { return Path("tokenizer"); }
  const TemporaryDirectory& directory() const { return directory_; }

 private:
  TemporaryDirectory directory_;
};

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_TEST_RUN_H_
