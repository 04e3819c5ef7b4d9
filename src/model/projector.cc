#include "model/projector.h"

#include "base/buffer.h"
#include "model/load.h"

namespace fastvlm {

Projector::Projector(const ProjectorTensors& tensors, ThreadPool& pool)
    : first_(LoadLinear(tensors.first, pool)), second_(LoadLinear(tensors.second, pool)) {}

void Projector::Forward(const float* features, int64_t tokens, float* embeddings,
                        ThreadPool& pool) const {
  Buffer<float> hidden(static_cast<size_t>(tokens * first_.n()));
  Epilogue gelu;
  gelu.activation = Activation::kGelu;
  Linear(first_, features, tokens, first_.k(), hidden.data(), first_.n(), gelu, pool);
  Linear(second_, hidden.data(), tokens, second_.k(), embeddings, second_.n(), {}, pool);
}

}  // namespace fastvlm
