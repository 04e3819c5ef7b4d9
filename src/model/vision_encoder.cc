#include "model/vision_encoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/load.h"
#include "model/vision_pass.h"
#include "ops/attention.h"
#include "ops/ffn.h"
#include "ops/linear.h"

namespace fastvlm {
namespace {

template <typename T>
void Grow(Buffer<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer = Buffer<T>(size);
}

}  // namespace

VisionEncoder::ConvFfn VisionEncoder::LoadConvFfn(const ConvFfnTensors& tensors,
                                                  std::optional<LinearFormat> format,
                                                  ThreadPool& pool) {
  return {LoadDepthwise(tensors.conv, 1), LoadFfnLinear(tensors.fc1, format, pool),
          LoadFfnLinear(tensors.fc2, format, pool), ToBuffer(tensors.layer_scale)};
}

VisionEncoder::Stage VisionEncoder::LoadStage(const StageTensors& tensors,
                                              std::optional<LinearFormat> format,
                                              ThreadPool& pool) {
  Stage stage;
  if (tensors.downsample) {
    stage.downsample = {LoadDepthwise(tensors.downsample->conv, 2),
                        LoadLinear(tensors.downsample->pointwise, format, pool)};
  }
  if (tensors.position) stage.position = LoadDepthwise(*tensors.position, 1);
  for (const RepMixerTensors& block : tensors.rep_mixer_blocks) {
    stage.rep_mixer_blocks.push_back(
        {LoadDepthwise(block.mixer, 1), LoadConvFfn(block.ffn, format, pool)});
  }
  for (const AttentionTensors& block : tensors.attention_blocks) {
    stage.attention_blocks.push_back(
        {ToBuffer(block.norm_gain), ToBuffer(block.norm_bias), LoadLinear(block.qkv, format, pool),
         LoadLinear(block.projection, format, pool), ToBuffer(block.layer_scale),
         LoadConvFfn(block.ffn, format, pool)});
  }
  return stage;
}

VisionEncoder::VisionEncoder(const VisionConfig& config, const VisionTensors& tensors,
                             std::optional<LinearFormat> format, ThreadPool& pool)
    : config_(config) {
  stem_conv_.out_channels = config.stages.front().channels;
  stem_conv_.weight = ToBuffer(tensors.stem_conv);
  stem_conv_.bias = ToBuffer(tensors.stem_conv_bias);
  stem_depthwise_ = LoadDepthwise(tensors.stem_depthwise, 2);
  stem_pointwise_ = LoadLinear(tensors.stem_pointwise, format, pool);
  for (const StageTensors& stage : tensors.stages)
    stages_.push_back(LoadStage(stage, format, pool));
  expand_ = LoadDepthwise(tensors.expand, 1);
  squeeze_excite_ = {config.feature_channels,
                     config.se_channels,
                     ToBuffer(tensors.squeeze.weight.ToF32()),
                     ToBuffer(tensors.squeeze.bias),
                     ToBuffer(tensors.excite.weight.ToF32()),
                     ToBuffer(tensors.excite.bias)};
}

size_t VisionEncoder::bytes() const {
  size_t bytes = stem_pointwise_.bytes();
  const auto depthwise = [](const DepthwiseWeights& w) {
    return (w.weight.size() + w.bias.size()) * sizeof(float);
  };
  const auto ffn = [&](const ConvFfn& f) {
    return depthwise(f.conv) + f.fc1.bytes() + f.fc2.bytes();
  };
  for (const Stage& stage : stages_) {
    if (stage.downsample)
      bytes += depthwise(stage.downsample->conv) + stage.downsample->pointwise.bytes();
    if (stage.position) bytes += depthwise(*stage.position);
    for (const RepMixerBlock& block : stage.rep_mixer_blocks)
      bytes += depthwise(block.mixer) + ffn(block.ffn);
    for (const AttentionBlock& block : stage.attention_blocks) {
      bytes += block.qkv.bytes() + block.projection.bytes() + ffn(block.ffn);
    }
  }
  return bytes + depthwise(expand_) +
         (squeeze_excite_.reduce_weight.size() + squeeze_excite_.expand_weight.size()) *
             sizeof(float);
}

double VisionEncoder::Work(int64_t height, int64_t width) const {
  double work = 0;
  int64_t pixels = height / 4 * (width / 4);
  for (const StageConfig& stage : config_.stages) {
    work += static_cast<double>(stage.blocks) * VisionPass::FfnWork(stage, pixels);
    pixels /= 4;
  }
  return work;
}

VisionEncoder::Sizes VisionEncoder::SizesFor(int64_t height, int64_t width, int threads) const {
  int64_t largest = 0;
  int64_t qkv = 0;
  size_t scratch = std::max(SqueezeExciteScratchSize(squeeze_excite_),
                            StemScratchFloats(stem_conv_, height, width, threads)) *
                   sizeof(float);
  const auto reserve_linear = [&](const PackedLinear& weights, int64_t rows) {
    scratch = std::max(scratch, LinearScratchBytes(weights, rows));
  };
  int64_t pixels = height / 4 * (width / 4);
  reserve_linear(stem_pointwise_, pixels);
  for (size_t i = 0; i < stages_.size(); ++i) {
    const int64_t channels = config_.stages[i].channels;
    largest = std::max(largest, pixels * channels);
    if (stages_[i].downsample) reserve_linear(stages_[i].downsample->pointwise, pixels);
    const auto reserve_ffn = [&](const ConvFfn& ffn) {
      scratch = std::max(scratch, FfnScratchBytes(ffn.fc1, ffn.fc2, threads));
    };
    for (const RepMixerBlock& block : stages_[i].rep_mixer_blocks) reserve_ffn(block.ffn);
    for (const AttentionBlock& block : stages_[i].attention_blocks) {
      reserve_ffn(block.ffn);
      qkv = std::max(qkv, pixels * 3 * channels);
      reserve_linear(block.qkv, pixels);
      reserve_linear(block.projection, pixels);
      scratch = std::max(
          scratch, sizeof(float) * SelfAttentionScratchFloats(pixels, channels / config_.head_dim,
                                                              config_.head_dim, threads));
    }
    pixels /= 4;
  }
  return {static_cast<size_t>(largest), static_cast<size_t>(qkv), scratch};
}

void VisionEncoder::Reserve(int64_t height, int64_t width, int threads,
                            VisionWorkspace& workspace) const {
  const Sizes sizes = SizesFor(height, width, threads);
  Grow(workspace.a, sizes.map);
  Grow(workspace.b, sizes.map);
  Grow(workspace.qkv, sizes.qkv);
  Grow(workspace.scratch, sizes.scratch_bytes);
}

int64_t VisionEncoder::WorkspaceBytes(int64_t height, int64_t width, int threads) const {
  const Sizes sizes = SizesFor(height, width, threads);
  return static_cast<int64_t>((2 * sizes.map + sizes.qkv) * sizeof(float) + sizes.scratch_bytes);
}

bool VisionEncoder::Forward(const float* pixels, int64_t height, int64_t width, float* features,
                            VisionWorkspace& workspace, ThreadPool& pool,
                            const EncodeProgressFn& progress, const TapFn& tap) const {
  VisionPass pass(*this, pixels, height, width, features, workspace, pool.threads());
  return pass.RunToEnd(pool, progress, tap);
}

bool VisionEncoder::ForwardFrom(size_t stage, const float* map, int64_t height, int64_t width,
                                float* features, VisionWorkspace& workspace, ThreadPool& pool,
                                const EncodeProgressFn& progress) const {
  VisionPass pass(*this, map, height, width, features, workspace, pool.threads());
  pass.BeginAtStage(stage);
  return pass.RunToEnd(pool, progress, {});
}

}  // namespace fastvlm
