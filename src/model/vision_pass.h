// One pass of the vision encoder, step by step.
#ifndef FASTVLM_MODEL_VISION_PASS_H_
#define FASTVLM_MODEL_VISION_PASS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/thread_pool.h"
#include "checkpoint/model_config.h"
#include "model/tap.h"
#include "model/vision_encoder.h"

namespace fastvlm {

// Between two steps the pool is free for others, and the pass may be given up. However the steps
// are spread over time, the features are the same to the last bit. Not thread-safe.
class VisionPass {
 public:
  // Arguments as of VisionEncoder::Forward. The encoder, the pixels, the features and the workspace
  // must stay where they are as long as the pass, and no other pass may use the workspace. Throws
  // OutOfMemory.
  VisionPass(const VisionEncoder& encoder, const float* pixels, int64_t height, int64_t width,
             float* features, VisionWorkspace& workspace, int threads);

  // Instead of the beginning: as VisionEncoder::ForwardFrom. Before the first step.
  void BeginAtStage(size_t stage);

  bool done() const { return done_; }
  // The share of the work that is done, 0..1.
  double fraction() const { return done_ ? 1 : work_ / total_work_; }
  // The multiply-adds that are done, nearly: those of the feed-forward blocks.
  double work() const { return work_; }

  // The stem with the first encoder block, or one more encoder block; the features come with the
  // last one. Not to be called when the pass is done. It allocates nothing but the names for a tap.
  void Step(ThreadPool& pool, const TapFn& tap = {});

  // All steps that are left. False if `progress` ended the pass.
  bool RunToEnd(ThreadPool& pool, const EncodeProgressFn& progress, const TapFn& tap);

  // The multiply-adds of one feed-forward block, in which the encoder does nearly all of its work.
  static double FfnWork(const StageConfig& stage, int64_t pixels) {
    return 2.0 * static_cast<double>(pixels) *
           static_cast<double>(stage.channels * stage.ffn_channels);
  }

 private:
  using Stage = VisionEncoder::Stage;

  int64_t pixels() const { return height_ * width_; }
  float* float_scratch() const { return reinterpret_cast<float*>(workspace_.scratch.data()); }
  void Convolve(const DepthwiseWeights& weights, DepthwiseActivation activation, ThreadPool& pool);
  void Pointwise(const PackedLinear& weights, ThreadPool& pool);
  void AddConvFfn(const VisionEncoder::ConvFfn& ffn, ThreadPool& pool);
  void AddAttention(const VisionEncoder::AttentionBlock& block, ThreadPool& pool);
  void Tap(const TapFn& tap, std::string_view name, int64_t channels) const;
  void Stem(ThreadPool& pool, const TapFn& tap);
  void EnterStage(ThreadPool& pool);
  void Block(ThreadPool& pool);
  bool EndOfStage() const;
  void Finish(ThreadPool& pool, const TapFn& tap);

  const VisionEncoder& encoder_;
  const float* const input_;
  float* const features_;
  VisionWorkspace& workspace_;
  int64_t height_;  // of the map x
  int64_t width_;
  const double total_work_;
  double work_ = 0;
  bool has_begun_ = false;  // x holds a map
  bool done_ = false;
  size_t stage_ = 0;
  size_t block_ = 0;  // of the stage, the next one
  // The map that was computed last is x, [height, width, channels of the stage]. y is the other
  // buffer, for the next one.
  float* x_;
  float* y_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_VISION_PASS_H_
