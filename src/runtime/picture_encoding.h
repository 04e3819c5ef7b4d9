// A picture on its way through the encoder and the projector, step by step.
#ifndef FASTVLM_RUNTIME_PICTURE_ENCODING_H_
#define FASTVLM_RUNTIME_PICTURE_ENCODING_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "base/buffer.h"
#include "image/preprocess.h"
#include "model/vision_pass.h"
#include "runtime/image_cache.h"
#include "runtime/model_impl.h"

namespace fastvlm {

// The model's lock is held during a step only, so that others compute between two of them. What
// comes out is to the last bit what ModelImpl::VisualTokens makes. Not thread-safe.
class PictureEncoding {
 public:
  PictureEncoding(const ModelImpl& model, std::shared_ptr<const Image> image, EncoderSize size,
                  Fit fit)
      : model_(model), image_(std::move(image)), size_(size), fit_(fit) {}
  PictureEncoding(const PictureEncoding&) = delete;
  PictureEncoding& operator=(const PictureEncoding&) = delete;

  // The most bytes that an encoding of this size holds at a time, beside its picture.
  static int64_t Bytes(const ModelImpl& model, EncoderSize size);

  // The next step: the pixels, one block of the encoder, or the projector. Errors: those of
  // ModelImpl::VisualTokens; no more steps then.
  Status Step();
  bool done() const { return tokens_ != nullptr; }
  VisualTokens tokens() const { return tokens_; }  // when it is done, else null
  // The multiply-adds of the last step, nearly.
  double last_work() const { return last_work_; }
  const Timings& timings() const { return timings_; }  // image_ms and encode_ms of all steps

 private:
  Status Prepare();
  Status Project();

  const ModelImpl& model_;
  std::shared_ptr<const Image> image_;  // until its pixels are made
  const EncoderSize size_;
  const Fit fit_;
  PixelTensor pixels_;
  Buffer<float> features_;
  VisionWorkspace workspace_;
  std::optional<VisionPass> pass_;
  VisualTokens tokens_;
  double last_work_ = 0;
  Timings timings_;
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_PICTURE_ENCODING_H_
