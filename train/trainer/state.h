// Everything a run needs to go on where it stopped, in one file.
#ifndef FASTVLM_TRAIN_TRAINER_STATE_H_
#define FASTVLM_TRAIN_TRAINER_STATE_H_

#include <string>

#include "train/nn/network.h"
#include "train/trainer/optimizer.h"

namespace fastvlm::train {

struct Progress {
  int64_t phase = 0;        // the one that is running
  int64_t step = 0;         // steps of it that are done
  int64_t total_steps = 0;  // of all phases
  int64_t pictures = 0;
  int64_t milliseconds = 0;  // spent so far
};

// Written atomically: a killed run or a full disk leaves the previous file.
Status SaveState(const std::string& path, const std::string& fingerprint, const Progress& progress,
                 const Network& network, const std::vector<Parameter>& parameters);

// Fills network, parameters and progress. kDataError if the file is corrupt, if a newer program
// wrote it, or if its network has another shape than `fingerprint` tells.
Status LoadState(const std::string& path, const std::string& fingerprint, Progress* progress,
                 Network* network, std::vector<Parameter>* parameters);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_STATE_H_
