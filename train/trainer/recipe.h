// What to train and how: the network, and phases that follow each other. A recipe is a JSON file
// whose fields have the names below; those without a default must be there.
#ifndef FASTVLM_TRAIN_TRAINER_RECIPE_H_
#define FASTVLM_TRAIN_TRAINER_RECIPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/nn/config.h"

namespace fastvlm::train {

enum class PhaseData {
  kCrops,  // close-ups: the encoder learns shapes and letters
  kScenes  // pictures with questions: everything
};

// One of the picture sizes of a phase, drawn with this weight for each batch.
struct SizeChoice {
  int64_t height = 0, width = 0;  // pixels, multiples of the stride
  double weight = 1;
};

struct Phase {
  std::string name;
  PhaseData data = PhaseData::kScenes;
  int64_t steps = 0;
  int64_t batch = 32;       // pictures per step, in all shards together
  int64_t micro_batch = 8;  // pictures in one forward pass; batch normalisation sees these
  std::vector<SizeChoice> sizes;
  int64_t turns = 4;  // questions per picture
  // "layouts": how often scenes show one thing, two, a group, several of a kind, text, and text
  // with a thing. Without it: 19, 17, 15, 11, 19, 19.
  std::array<float, 6> layouts{};
  double text_share = 0.4;      // of the crops
  bool pad = false;             // black bars now and then
  double learning_rate = 1e-3;  // after the warm-up, then a cosine down to final_factor times it
  double final_factor = 0.02;
  double warmup = 0.03;       // share of the steps
  double encoder_factor = 1;  // of the learning rate; 0 freezes the encoder
  double answer_weight = 1;   // of next-token loss on the answers
  double tied_weight = 0.5;   // of teaching image tokens the words for what they show
  double class_weight = 0.5;  // of the auxiliary class head
  double place_weight = 0.5;  // of telling the halves of the picture apart
  double look_weight = 0.5;   // of attention from names in questions to what they name
};

struct Recipe {
  uint64_t seed = 1;
  int64_t shards = 2;          // parts of a batch with moments of their own, one thread each
  double weight_decay = 0.05;  // of matrices
  double gradient_clip = 1;    // norm of all gradients together; 0: no limit
  NetworkConfig network;       // without vocabulary and concepts, which come from the data
  std::vector<Phase> phases;

  std::string fingerprint;  // of everything that shapes the network
};

Result<Recipe> ReadRecipe(const std::string& path);

// The learning rate of a step of a phase.
double LearningRate(const Phase& phase, int64_t step);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_RECIPE_H_
