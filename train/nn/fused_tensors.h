// A trained network as the tensors that inference needs.
#ifndef FASTVLM_TRAIN_NN_FUSED_TENSORS_H_
#define FASTVLM_TRAIN_NN_FUSED_TENSORS_H_

#include <string>
#include <utility>
#include <vector>

#include "train/nn/network.h"

namespace fastvlm::train {

// The tensors under the names of transformers' fast_vlm layout. Branches and normalisations are
// fused into the convolution beside them; the class head is left out.
std::vector<std::pair<std::string, Tensor>> FusedTensors(const Network& network);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_FUSED_TENSORS_H_
