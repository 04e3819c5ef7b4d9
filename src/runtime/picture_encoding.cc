#include "runtime/picture_encoding.h"

#include <utility>

#include "base/stopwatch.h"

namespace fastvlm {

int64_t PictureEncoding::Bytes(const ModelImpl& model, EncoderSize size) {
  const VisionEncoder& encoder = model.model.encoder();
  const int64_t pixels = int64_t{size.height} * size.width;
  const int64_t tokens = model.model.TokenCount(size.height, size.width);
  constexpr int64_t kFloat = sizeof(float);
  // Pixels as levels and as floats; the rows between the two passes of the resize are of the same
  // order as the levels of the picture, which stay until then.
  return pixels * 3 * (kFloat + 1) + tokens * encoder.feature_channels() * kFloat +
         tokens * model.model.projector().hidden() * kFloat +
         encoder.WorkspaceBytes(size.height, size.width, model.pool.threads());
}

Status PictureEncoding::Step() {
  return CatchOutOfMemory(kEncoderMemory, [&]() -> Status {
    const ComputeLock lock(model_.compute_mutex);
    const Stopwatch watch;
    last_work_ = 0;
    if (!pass_) {
      FASTVLM_RETURN_IF_ERROR(Prepare());
      timings_.image_ms += watch.Milliseconds();
      return {};
    }
    if (pass_->done()) {
      FASTVLM_RETURN_IF_ERROR(Project());
    } else {
      const double before = pass_->work();
      pass_->Step(model_.pool);
      last_work_ = pass_->work() - before;
    }
    timings_.encode_ms += watch.Milliseconds();
    return {};
  });
}

Status PictureEncoding::Prepare() {
  FASTVLM_ASSIGN_OR_RETURN(pixels_,
                           Preprocess(*image_, size_.height, size_.width, fit_, &model_.pool));
  image_.reset();
  features_ = Buffer<float>(static_cast<size_t>(model_.model.TokenCount(size_.height, size_.width) *
                                                model_.model.encoder().feature_channels()));
  pass_.emplace(model_.model.encoder(), pixels_.values.data(), size_.height, size_.width,
                features_.data(), workspace_, model_.pool.threads());
  return {};
}

Status PictureEncoding::Project() {
  const int64_t tokens = model_.model.TokenCount(size_.height, size_.width);
  Buffer<float> visual(static_cast<size_t>(tokens * model_.model.projector().hidden()));
  model_.model.projector().Forward(features_.data(), tokens, visual.data(), model_.pool);
  tokens_ = std::make_shared<const Buffer<float>>(std::move(visual));
  return {};
}

}  // namespace fastvlm
