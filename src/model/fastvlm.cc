#include "model/fastvlm.h"

namespace fastvlm {

FastVlm::FastVlm(const Checkpoint& checkpoint, int64_t vocabulary, ThreadPool& pool,
                 const std::function<void(double fraction)>& progress) {
  const ModelConfig& config = checkpoint.config();
  const ModelTensors& tensors = checkpoint.tensors();
  const double total = static_cast<double>(config.vision_parameters + config.projector_parameters +
                                           config.decoder_parameters);
  double done = 0;
  const auto report = [&](double parameters) {
    done += parameters;
    if (progress) progress(done / total);
  };
  encoder_ = VisionEncoder(config.vision, tensors.vision, pool);
  report(static_cast<double>(config.vision_parameters));
  projector_ = Projector(tensors.projector, pool);
  report(static_cast<double>(config.projector_parameters));
  const double per_layer =
      static_cast<double>(config.decoder_parameters) / static_cast<double>(config.decoder.layers);
  decoder_ = Decoder(config.decoder, tensors.decoder, vocabulary, pool, [&] { report(per_layer); });
}

}  // namespace fastvlm
