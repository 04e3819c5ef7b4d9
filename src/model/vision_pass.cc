#include "model/vision_pass.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "ops/attention.h"
#include "ops/ffn.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace fastvlm {
namespace {

// LayerNormChannel in mci.py.
constexpr float kLayerNormEps = 1e-5f;

}  // namespace

VisionPass::VisionPass(const VisionEncoder& encoder, const float* pixels, int64_t height,
                       int64_t width, float* features, VisionWorkspace& workspace, int threads)
    : encoder_(encoder),
      input_(pixels),
      features_(features),
      workspace_(workspace),
      height_(height),
      width_(width),
      total_work_(encoder.Work(height, width)) {
  const int64_t stride = encoder.stride();
  FASTVLM_CHECK(height > 0 && height % stride == 0 && width > 0 && width % stride == 0);
  encoder.Reserve(height, width, threads, workspace);
  x_ = workspace.a.data();
  y_ = workspace.b.data();
}

void VisionPass::BeginAtStage(size_t stage) {
  FASTVLM_CHECK(!has_begun_ && stage < encoder_.stages_.size());
  const size_t before = stage == 0 ? 0 : stage - 1;
  height_ /= int64_t{4} << before;
  width_ /= int64_t{4} << before;
  std::copy_n(input_, pixels() * encoder_.config_.stages[before].channels, x_);
  stage_ = stage;
  has_begun_ = true;
}

void VisionPass::Convolve(const DepthwiseWeights& weights, DepthwiseActivation activation,
                          ThreadPool& pool) {
  Depthwise(weights, x_, height_, width_, y_, activation, pool);
  if (weights.stride == 2) {
    height_ /= 2;
    width_ /= 2;
  }
  std::swap(x_, y_);
}

void VisionPass::Pointwise(const PackedLinear& weights, ThreadPool& pool) {
  Epilogue gelu;
  gelu.activation = Activation::kGelu;
  Linear(weights, x_, pixels(), weights.k(), y_, weights.n(), gelu, workspace_.scratch.data(),
         pool);
  std::swap(x_, y_);
}

// From x, through y, back into x.
void VisionPass::AddConvFfn(const VisionEncoder::ConvFfn& ffn, ThreadPool& pool) {
  Depthwise(ffn.conv, x_, height_, width_, y_, DepthwiseActivation::kNone, pool);
  Ffn(ffn.fc1, ffn.fc2, y_, pixels(), x_, ffn.layer_scale.data(), x_, workspace_.scratch.data(),
      pool);
}

void VisionPass::AddAttention(const VisionEncoder::AttentionBlock& block, ThreadPool& pool) {
  const int64_t channels = block.projection.n();
  const int64_t head_dim = encoder_.config_.head_dim;
  LayerNorm(x_, pixels(), channels, block.norm_gain.data(), block.norm_bias.data(), kLayerNormEps,
            y_, pool);
  float* qkv = workspace_.qkv.data();
  Linear(block.qkv, y_, pixels(), channels, qkv, 3 * channels, {}, workspace_.scratch.data(), pool);
  SelfAttention(qkv, pixels(), channels / head_dim, head_dim, y_, float_scratch(), pool);
  Epilogue add;
  add.scale = block.layer_scale.data();
  add.residual = x_;
  add.residual_stride = channels;
  Linear(block.projection, y_, pixels(), channels, x_, channels, add, workspace_.scratch.data(),
         pool);
}

void VisionPass::Tap(const TapFn& tap, std::string_view name, int64_t channels) const {
  if (tap) tap(name, x_, {height_, width_, channels});
}

void VisionPass::Stem(ThreadPool& pool, const TapFn& tap) {
  fastvlm::Stem(encoder_.stem_conv_, encoder_.stem_depthwise_, input_, height_, width_, x_,
                float_scratch(), pool);
  height_ /= 4;
  width_ /= 4;
  Pointwise(encoder_.stem_pointwise_, pool);
  Tap(tap, "stem", encoder_.stem_conv_.out_channels);
}

// What comes before the blocks of a stage.
void VisionPass::EnterStage(ThreadPool& pool) {
  const Stage& stage = encoder_.stages_[stage_];
  if (stage.downsample) {
    Convolve(stage.downsample->conv, DepthwiseActivation::kGelu, pool);
    Pointwise(stage.downsample->pointwise, pool);
  }
  if (stage.position) Convolve(*stage.position, DepthwiseActivation::kNone, pool);
}

void VisionPass::Block(ThreadPool& pool) {
  const Stage& stage = encoder_.stages_[stage_];
  const size_t mixers = stage.rep_mixer_blocks.size();
  if (block_ < mixers) {
    const VisionEncoder::RepMixerBlock& block = stage.rep_mixer_blocks[block_];
    Convolve(block.mixer, DepthwiseActivation::kNone, pool);
    AddConvFfn(block.ffn, pool);
  } else {
    const VisionEncoder::AttentionBlock& block = stage.attention_blocks[block_ - mixers];
    AddAttention(block, pool);
    AddConvFfn(block.ffn, pool);
  }
  ++block_;
  work_ += FfnWork(encoder_.config_.stages[stage_], pixels());
}

bool VisionPass::EndOfStage() const {
  const Stage& stage = encoder_.stages_[stage_];
  return block_ == stage.rep_mixer_blocks.size() + stage.attention_blocks.size();
}

void VisionPass::Finish(ThreadPool& pool, const TapFn& tap) {
  Depthwise(encoder_.expand_, x_, height_, width_, features_, DepthwiseActivation::kNone, pool);
  SqueezeExciteGelu(encoder_.squeeze_excite_, features_, pixels(), float_scratch(), pool);
  if (tap) tap("features", features_, {pixels(), encoder_.feature_channels()});
  done_ = true;
}

void VisionPass::Step(ThreadPool& pool, const TapFn& tap) {
  FASTVLM_CHECK(!done_);
  if (!has_begun_) Stem(pool, tap);
  has_begun_ = true;
  if (block_ == 0) EnterStage(pool);
  if (!EndOfStage()) Block(pool);
  if (!EndOfStage()) return;
  if (tap) {
    Tap(tap, "stage." + std::to_string(stage_), encoder_.config_.stages[stage_].channels);
  }
  block_ = 0;
  if (++stage_ == encoder_.stages_.size()) Finish(pool, tap);
}

bool VisionPass::RunToEnd(ThreadPool& pool, const EncodeProgressFn& progress, const TapFn& tap) {
  while (!done_) {
    Step(pool, tap);
    if (progress && !progress(std::min(1.0, fraction()))) return false;
  }
  return true;
}

}  // namespace fastvlm
