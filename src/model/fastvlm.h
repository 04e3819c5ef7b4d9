// The three parts of a FastVLM, joined.
#ifndef FASTVLM_MODEL_FASTVLM_H_
#define FASTVLM_MODEL_FASTVLM_H_

#include <cstdint>
#include <functional>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder.h"
#include "model/precision.h"
#include "model/projector.h"
#include "model/vision_encoder.h"

namespace fastvlm {

// Immutable. The checkpoint must live at least as long.
class FastVlm {
 public:
  // `vocabulary` is how many tokens the tokenizer has, at most vocab_rows. `progress` is called
  // with 0..1 after each layer of the decoder.
  FastVlm(const Checkpoint& checkpoint, int64_t vocabulary, Precision precision, ThreadPool& pool,
          const std::function<void(double fraction)>& progress = {});

  const VisionEncoder& encoder() const { return encoder_; }
  const Projector& projector() const { return projector_; }
  const Decoder& decoder() const { return decoder_; }
  size_t bytes() const { return encoder_.bytes() + projector_.bytes() + decoder_.bytes(); }

  // How many visual tokens an input of this size becomes.
  int64_t TokenCount(int64_t height, int64_t width) const {
    return height / encoder_.stride() * (width / encoder_.stride());
  }

 private:
  VisionEncoder encoder_;
  Projector projector_;
  Decoder decoder_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_FASTVLM_H_
