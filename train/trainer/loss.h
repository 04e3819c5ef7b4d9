// Forward passes and what they are judged by.
#ifndef FASTVLM_TRAIN_TRAINER_LOSS_H_
#define FASTVLM_TRAIN_TRAINER_LOSS_H_

#include "train/nn/network.h"
#include "train/trainer/batch.h"

namespace fastvlm::train {

// Each a mean: over the answers' tokens by their weights, over cells or crops. The loss of a phase
// is their weighted sum.
struct Losses {
  torch::Tensor answer;  // next-token cross-entropy; not for crops
  torch::Tensor tied;    // image tokens against the words for what they show, by the tied head
  torch::Tensor class_;  // features against the class of what they show
  torch::Tensor place;   // image tokens, top against bottom and left against right; not for crops
  torch::Tensor look;    // attention of names in questions against what they name; not for crops
};

Losses CropLosses(const Network& network, const CropBatch& batch, ForwardContext& context);

// correct, if given: whether each turn's answer is right to its last token. This is so exactly if a
// greedy decoder would give it, as every token is the likeliest one after those before it.
Losses SceneLosses(const Network& network, const Vocabulary& vocabulary, const SceneBatch& batch,
                   bool with_encoder_gradient, ForwardContext& context,
                   std::vector<bool>* correct = nullptr);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_LOSS_H_
