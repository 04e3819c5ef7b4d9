// Reads an exported model back, to train it further.
#ifndef FASTVLM_TRAIN_TRAINER_READ_MODEL_H_
#define FASTVLM_TRAIN_TRAINER_READ_MODEL_H_

#include <string>

#include "text/tokenizer.h"
#include "train/nn/network.h"

namespace fastvlm::train {

// Fills a network without branches from a model directory that WriteModel wrote; the class head,
// which is not exported, stays as it is. kDataError, naming the file and what differs, if the model
// has another shape or vocabulary, or is damaged.
Status ReadModel(const std::string& directory, const Tokenizer& tokenizer, Network* network);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_READ_MODEL_H_
