#include "model/fastvlm.h"

namespace fastvlm {

FastVlm::FastVlm(const Checkpoint& checkpoint, int64_t vocabulary, ThreadPool& pool,
                 const std::function<void(double fraction)>& progress)
    : encoder_(checkpoint.config().vision, checkpoint.tensors().vision, pool),
      projector_(checkpoint.tensors().projector, pool),
      decoder_(checkpoint.config().decoder, checkpoint.tensors().decoder, vocabulary, pool,
               [&, layers_done = int64_t{0}]() mutable {
                 const ModelConfig& config = checkpoint.config();
                 const double before =
                     static_cast<double>(config.vision_parameters + config.projector_parameters);
                 const double decoder = static_cast<double>(config.decoder_parameters);
                 const double share = static_cast<double>(++layers_done) /
                                      static_cast<double>(config.decoder.layers);
                 if (progress) progress((before + decoder * share) / (before + decoder));
               }) {}

}  // namespace fastvlm
