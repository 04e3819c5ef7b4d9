// The way back from the tensors of inference to a network that can be trained.
#ifndef FASTVLM_TRAIN_NN_LOAD_FUSED_TENSORS_H_
#define FASTVLM_TRAIN_NN_LOAD_FUSED_TENSORS_H_

#include <map>
#include <string>

#include "train/nn/network.h"

namespace fastvlm::train {

// Loads what FusedTensors gave into a network without branches, whose own FusedTensors are the same
// afterwards. A normalisation that was fused into its convolution begins anew, with mean 0 and
// variance 1 (Recentre then measures them). The class head stays as it is. kDataError says which
// tensor is missing, too many, not finite or of another shape.
Status LoadFusedTensors(const std::map<std::string, Tensor>& tensors, Network* network);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_LOAD_FUSED_TENSORS_H_
