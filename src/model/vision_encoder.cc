#include "model/vision_encoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "model/load.h"
#include "ops/attention.h"
#include "ops/ffn.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace fastvlm {
namespace {

// LayerNormChannel in mci.py.
constexpr float kLayerNormEps = 1e-5f;

template <typename T>
void Grow(Buffer<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer = Buffer<T>(size);
}

// The multiply-adds of one feed-forward block, in which the encoder does nearly all of its work.
double FfnWork(const StageConfig& stage, int64_t pixels) {
  return 2.0 * static_cast<double>(pixels) *
         static_cast<double>(stage.channels * stage.ffn_channels);
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
    work += static_cast<double>(stage.blocks) * FfnWork(stage, pixels);
    pixels /= 4;
  }
  return work;
}

void VisionEncoder::Reserve(int64_t height, int64_t width, int threads,
                            VisionWorkspace& workspace) const {
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
  Grow(workspace.a, static_cast<size_t>(largest));
  Grow(workspace.b, static_cast<size_t>(largest));
  Grow(workspace.qkv, static_cast<size_t>(qkv));
  Grow(workspace.scratch, scratch);
}

// The map that was computed last is x, [height, width, channels of the stage]. y is the other
// buffer, for the next one.
struct VisionEncoder::Run {
  const VisionEncoder& encoder;
  VisionWorkspace& workspace;
  ThreadPool& pool;
  const EncodeProgressFn& progress;
  const TapFn& tap;
  int64_t height;
  int64_t width;
  double total_work;
  double work = 0;
  float* x = nullptr;
  float* y = nullptr;

  int64_t pixels() const { return height * width; }
  float* float_scratch() const { return reinterpret_cast<float*>(workspace.scratch.data()); }

  void Swap() { std::swap(x, y); }

  void Convolve(const DepthwiseWeights& weights,
                DepthwiseActivation activation = DepthwiseActivation::kNone) {
    Depthwise(weights, x, height, width, y, activation, pool);
    if (weights.stride == 2) {
      height /= 2;
      width /= 2;
    }
    Swap();
  }

  void Pointwise(const PackedLinear& weights) {
    Epilogue gelu;
    gelu.activation = Activation::kGelu;
    Linear(weights, x, pixels(), weights.k(), y, weights.n(), gelu, workspace.scratch.data(), pool);
    Swap();
  }

  // From x, through y, back into x.
  void AddConvFfn(const ConvFfn& ffn) {
    Depthwise(ffn.conv, x, height, width, y, DepthwiseActivation::kNone, pool);
    Ffn(ffn.fc1, ffn.fc2, y, pixels(), x, ffn.layer_scale.data(), x, workspace.scratch.data(),
        pool);
  }

  void AddAttention(const AttentionBlock& block) {
    const int64_t channels = block.projection.n();
    const int64_t head_dim = encoder.config_.head_dim;
    LayerNorm(x, pixels(), channels, block.norm_gain.data(), block.norm_bias.data(), kLayerNormEps,
              y, pool);
    float* qkv = workspace.qkv.data();
    Linear(block.qkv, y, pixels(), channels, qkv, 3 * channels, {}, workspace.scratch.data(), pool);
    SelfAttention(qkv, pixels(), channels / head_dim, head_dim, y, float_scratch(), pool);
    Epilogue add;
    add.scale = block.layer_scale.data();
    add.residual = x;
    add.residual_stride = channels;
    Linear(block.projection, y, pixels(), channels, x, channels, add, workspace.scratch.data(),
           pool);
  }

  // False if the caller wants no more.
  bool Report(const StageConfig& stage) {
    work += FfnWork(stage, pixels());
    return !progress || progress(std::min(1.0, work / total_work));
  }

  void Tap(std::string_view name, int64_t channels) const {
    if (tap) tap(name, x, {height, width, channels});
  }

  void Stem(const float* input) {
    fastvlm::Stem(encoder.stem_conv_, encoder.stem_depthwise_, input, height, width, x,
                  float_scratch(), pool);
    height /= 4;
    width /= 4;
    Pointwise(encoder.stem_pointwise_);
    Tap("stem", encoder.stem_conv_.out_channels);
  }

  bool RunStage(size_t index) {
    const Stage& stage = encoder.stages_[index];
    const StageConfig& config = encoder.config_.stages[index];
    if (stage.downsample) {
      Convolve(stage.downsample->conv, DepthwiseActivation::kGelu);
      Pointwise(stage.downsample->pointwise);
    }
    if (stage.position) Convolve(*stage.position);
    for (const RepMixerBlock& block : stage.rep_mixer_blocks) {
      Convolve(block.mixer);
      AddConvFfn(block.ffn);
      if (!Report(config)) return false;
    }
    for (const AttentionBlock& block : stage.attention_blocks) {
      AddAttention(block);
      AddConvFfn(block.ffn);
      if (!Report(config)) return false;
    }
    Tap("stage." + std::to_string(index), config.channels);
    return true;
  }

  // From the map before stage `first` to the features.
  bool Finish(size_t first, float* features) {
    for (size_t i = first; i < encoder.stages_.size(); ++i) {
      if (!RunStage(i)) return false;
    }
    Depthwise(encoder.expand_, x, height, width, features, DepthwiseActivation::kNone, pool);
    SqueezeExciteGelu(encoder.squeeze_excite_, features, pixels(), float_scratch(), pool);
    if (tap) tap("features", features, {pixels(), encoder.feature_channels()});
    return true;
  }
};

bool VisionEncoder::Forward(const float* pixels, int64_t height, int64_t width, float* features,
                            VisionWorkspace& workspace, ThreadPool& pool,
                            const EncodeProgressFn& progress, const TapFn& tap) const {
  FASTVLM_CHECK(height > 0 && height % stride() == 0 && width > 0 && width % stride() == 0);
  Reserve(height, width, pool.threads(), workspace);
  Run run{*this, workspace, pool, progress, tap, height, width, Work(height, width)};
  run.x = workspace.a.data();
  run.y = workspace.b.data();
  run.Stem(pixels);
  return run.Finish(0, features);
}

bool VisionEncoder::ForwardFrom(size_t stage, const float* map, int64_t height, int64_t width,
                                float* features, VisionWorkspace& workspace, ThreadPool& pool,
                                const EncodeProgressFn& progress) const {
  FASTVLM_CHECK(height > 0 && height % stride() == 0 && width > 0 && width % stride() == 0);
  FASTVLM_CHECK(stage < stages_.size());
  Reserve(height, width, pool.threads(), workspace);
  const size_t before = stage == 0 ? 0 : stage - 1;
  const int64_t shrunk = int64_t{4} << before;
  const TapFn no_tap;
  Run run{*this,  workspace,       pool,           progress,
          no_tap, height / shrunk, width / shrunk, Work(height, width)};
  run.x = workspace.a.data();
  run.y = workspace.b.data();
  std::copy_n(map, run.pixels() * config_.stages[before].channels, run.x);
  return run.Finish(stage, features);
}

}  // namespace fastvlm
