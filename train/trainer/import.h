// Reads an exported model back, to train it further.
#ifndef FASTVLM_TRAIN_TRAINER_IMPORT_H_
#define FASTVLM_TRAIN_TRAINER_IMPORT_H_

#include <string>

#include "text/tokenizer.h"
#include "train/nn/network.h"

namespace fastvlm::train {

// Fills a network without branches from a model directory that ExportModel wrote; the class head,
// which is not exported, stays as it is. kDataError, naming the file and what differs, if the model
// has another shape or vocabulary, or is damaged.
Status LoadModel(const std::string& directory, const Tokenizer& tokenizer, Network* network);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_IMPORT_H_
