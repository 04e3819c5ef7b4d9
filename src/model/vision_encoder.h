// FastViTHD: an image to features, one for each square of stride() pixels.
// Source: Apple's mci.py (fastvithd) and timm's fastvit_mci3; see docs/ARCHITECTURE.md.
#ifndef FASTVLM_MODEL_VISION_ENCODER_H_
#define FASTVLM_MODEL_VISION_ENCODER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weights.h"
#include "model/tap.h"
#include "model/vision_layers.h"
#include "ops/depthwise.h"
#include "ops/packed_linear.h"
#include "ops/squeeze_excite.h"
#include "ops/stem.h"

namespace fastvlm {

// Called after each encoder block with the share of the encoder's work that is done, 0..1. No loop
// runs on the pool then, so that the callback may use it. Returning false ends the pass.
using EncodeProgressFn = std::function<bool(double fraction)>;

// The encoder's activations. It grows to what the largest image so far needed and can be used for
// any number of passes, one after the other.
struct VisionWorkspace {
  Buffer<float> a;
  Buffer<float> b;
  Buffer<float> qkv;
  Buffer<uint8_t> scratch;
};

class VisionPass;

// A pass changes only its workspace. Several passes may be under way at the same time if each has a
// workspace of its own and only one of them computes on a pool at any moment.
class VisionEncoder {
 public:
  VisionEncoder(const VisionConfig& config, const VisionTensors& tensors,
                std::optional<LinearFormat> format, ThreadPool& pool);

  int64_t stride() const { return config_.stride(); }
  int64_t feature_channels() const { return config_.feature_channels; }
  size_t bytes() const;

  // pixels: [height, width, 3] in [0, 1], both sides multiples of stride().
  // features: [height / stride * width / stride, feature_channels]. False if `progress` ended it.
  bool Forward(const float* pixels, int64_t height, int64_t width, float* features,
               VisionWorkspace& workspace, ThreadPool& pool, const EncodeProgressFn& progress = {},
               const TapFn& tap = {}) const;

  // The rest of a pass, beginning with stage `stage`. `map` is what the tap was given after the
  // step before it, which is called "stem" or "stage.<stage - 1>". height and width are those of
  // the pixels, as for Forward.
  bool ForwardFrom(size_t stage, const float* map, int64_t height, int64_t width, float* features,
                   VisionWorkspace& workspace, ThreadPool& pool,
                   const EncodeProgressFn& progress = {}) const;

  // How many bytes the workspace of a pass over pixels of this size takes.
  int64_t WorkspaceBytes(int64_t height, int64_t width, int threads) const;

  size_t stages() const { return stages_.size(); }
  // Visits the weights of all linear layers, as vision_layers.h describes. They may be exchanged
  // for others of the same shape while no pass runs.
  template <typename Visit>
  void VisitLayers(const Visit& visit) {
    VisitEncoderLayers(stem_pointwise_, stages_, visit);
  }

 private:
  // y = residual + layer_scale * fc2(gelu(fc1(conv(x))))
  struct ConvFfn {
    DepthwiseWeights conv;
    PackedLinear fc1;
    PackedLinear fc2;
    Buffer<float> layer_scale;
  };
  struct RepMixerBlock {
    DepthwiseWeights mixer;
    ConvFfn ffn;
  };
  struct AttentionBlock {
    Buffer<float> norm_gain;
    Buffer<float> norm_bias;
    PackedLinear qkv;
    PackedLinear projection;
    Buffer<float> layer_scale;
    ConvFfn ffn;
  };
  struct Downsample {
    DepthwiseWeights conv;
    PackedLinear pointwise;
  };
  struct Stage {
    std::optional<Downsample> downsample;
    std::optional<DepthwiseWeights> position;
    std::vector<RepMixerBlock> rep_mixer_blocks;
    std::vector<AttentionBlock> attention_blocks;
  };
  friend class VisionPass;

  static ConvFfn LoadConvFfn(const ConvFfnTensors& tensors, std::optional<LinearFormat> format,
                             ThreadPool& pool);
  static Stage LoadStage(const StageTensors& tensors, std::optional<LinearFormat> format,
                         ThreadPool& pool);

  // What the workspace of a pass needs, in floats and bytes.
  struct Sizes {
    size_t map = 0;
    size_t qkv = 0;
    size_t scratch_bytes = 0;
  };
  Sizes SizesFor(int64_t height, int64_t width, int threads) const;
  void Reserve(int64_t height, int64_t width, int threads, VisionWorkspace& workspace) const;
  // The multiply-adds of all feed-forward blocks for an image of this size. They are nearly all of
  // the work, so progress is measured by them.
  double Work(int64_t height, int64_t width) const;

  VisionConfig config_;
  StemConvWeights stem_conv_;
  DepthwiseWeights stem_depthwise_;
  PackedLinear stem_pointwise_;
  std::vector<Stage> stages_;
  DepthwiseWeights expand_;
  SqueezeExciteWeights squeeze_excite_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_VISION_ENCODER_H_
