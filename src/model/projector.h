// From encoder features to embeddings of the decoder: Linear, exact GELU, Linear.
// Source: mm_projector "mlp2x_gelu" of LLaVA.
#ifndef FASTVLM_MODEL_PROJECTOR_H_
#define FASTVLM_MODEL_PROJECTOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/thread_pool.h"
#include "checkpoint/weights.h"
#include "model/vision_layers.h"
#include "ops/packed_linear.h"

namespace fastvlm {

class Projector {
 public:
  Projector(const ProjectorTensors& tensors, std::optional<LinearFormat> format, ThreadPool& pool);

  size_t bytes() const { return first_.bytes() + second_.bytes(); }
  int64_t hidden() const { return second_.n(); }

  // features: [tokens, feature_channels] -> embeddings: [tokens, hidden].
  void Forward(const float* features, int64_t tokens, float* embeddings, ThreadPool& pool) const;

  // As VisionEncoder::VisitLayers. `step` is the one after the last step of the encoder.
  template <typename Visit>
  void VisitLayers(size_t step, const Visit& visit) {
    VisitProjectorLayers(first_, second_, step, visit);
  }

 private:
  PackedLinear first_;
  PackedLinear second_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_PROJECTOR_H_
