#include "model/projector.h"

#include <algorithm>

#include "base/buffer.h"
#include "model/load.h"
#include "ops/linear.h"

namespace fastvlm {

Projector::Projector(const ProjectorTensors& tensors, std::optional<LinearFormat> format,
                     ThreadPool& pool)
    : first_(LoadLinear(tensors.first, format, pool)),
      second_(LoadLinear(tensors.second, format, pool)) {}

void Projector::Forward(const float* features, int64_t tokens, float* embeddings,
                        ThreadPool& pool) const {
  Buffer<float> hidden(static_cast<size_t>(tokens * first_.n()));
  Buffer<uint8_t> scratch(
      std::max(LinearScratchBytes(first_, tokens), LinearScratchBytes(second_, tokens)));
  Epilogue gelu;
  gelu.activation = Activation::kGelu;
  Linear(first_, features, tokens, first_.k(), hidden.data(), first_.n(), gelu, scratch.data(),
         pool);
  Linear(second_, hidden.data(), tokens, second_.k(), embeddings, second_.n(), {}, scratch.data(),
         pool);
}

}  // namespace fastvlm
