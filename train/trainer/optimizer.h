// AdamW with decoupled weight decay, on one thread per part of the parameters.
#ifndef FASTVLM_TRAIN_TRAINER_OPTIMIZER_H_
#define FASTVLM_TRAIN_TRAINER_OPTIMIZER_H_

#include <torch/torch.h>

#include <vector>

#include "base/thread_pool.h"

namespace fastvlm::train {

struct Parameter {
  std::string name;
  torch::Tensor value;     // f32, contiguous
  torch::Tensor mean;      // running averages of its gradient and of the square,
  torch::Tensor variance;  // like value
  bool decay = false;      // weight decay applies
  bool encoder = false;
};

// Every parameter of `module`, with zero averages. Matrices decay; gains, biases, layer scales and
// depthwise kernels do not.
std::vector<Parameter> ParametersOf(const torch::nn::Module& module);

struct AdamStep {
  int64_t step = 0;  // from 1 on, for the bias correction
  double learning_rate = 0;
  double encoder_factor = 1;  // of the learning rate; 0 leaves the encoder as it is
  double weight_decay = 0;
  double clip = 0;  // gradients are scaled down to this norm; 0: never
};

// gradients: one for each parameter, or undefined where there is none. Returns the norm of all
// gradients before clipping. Not finite: nothing is changed.
double UpdateParameters(const std::vector<torch::Tensor>& gradients, const AdamStep& step,
                        std::vector<Parameter>* parameters, ThreadPool& pool);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_OPTIMIZER_H_
