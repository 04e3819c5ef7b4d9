#include "model/fastvlm.h"

namespace fastvlm {

FastVlm::FastVlm(const Checkpoint& checkpoint, int64_t vocabulary, Precision precision,
                 ThreadPool& pool, const std::function<void(double fraction)>& progress)
    : encoder_(checkpoint.config().vision, checkpoint.tensors().vision, FormatsOf(precision).vision,
               pool),
      projector_(checkpoint.tensors().projector, FormatsOf(precision).vision, pool),
      decoder_(checkpoint.config().decoder, checkpoint.tensors().decoder, vocabulary,
               FormatsOf(precision), pool, [&, layers_done = int64_t{0}]() mutable {
                 const ModelConfig& config = checkpoint.config();
                 const double before =
                     static_cast<double>(config.vision_parameters + config.projector_parameters);
                 const double decoder = static_cast<double>(config.decoder_parameters);
                 const double share = static_cast<double>(++layers_done) /
                                      static_cast<double>(config.decoder.layers);
                 if (progress) progress((before + decoder * share) / (before + decoder));
               }) {}

}  // namespace fastvlm
