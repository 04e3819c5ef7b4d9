#include "checkpoint/vision_reader.h"

#include <cmath>
#include <utility>

namespace fastvlm {
namespace {

constexpr int64_t kMaxStages = 8;
constexpr float kBatchNormEps = 1e-5f;  // nn.BatchNorm2d's default, which mci.py keeps

// The tensors of <prefix>.bn, folded into a convolution without bias:
//   weight' = weight * gain / sqrt(variance + eps),  bias' = shift - mean * gain / sqrt(...)
Status FoldBatchNorm(WeightReader* reader, const std::string& prefix, DepthwiseTensors* conv) {
  const int64_t channels = conv->out;
  const std::string bn = prefix + ".bn";
  FASTVLM_ASSIGN_OR_RETURN(const auto gain, reader->TakeValues(bn + ".weight", {channels}));
  FASTVLM_ASSIGN_OR_RETURN(const auto shift, reader->TakeValues(bn + ".bias", {channels}));
  FASTVLM_ASSIGN_OR_RETURN(const auto mean, reader->TakeStatistic(bn + ".running_mean", channels));
  FASTVLM_ASSIGN_OR_RETURN(const auto variance,
                           reader->TakeStatistic(bn + ".running_var", channels));
  const size_t size = gain.size();
  std::vector<float> scale(size);
  conv->bias.resize(size);
  for (size_t c = 0; c < size; ++c) {
    if (variance[c] < 0) {
      return reader->BadTensor(
          bn + ".running_var",
          fmt::format("expected variances of at least 0, found {} at element {}: corrupt",
                      variance[c], c));
    }
    scale[c] = gain[c] / std::sqrt(variance[c] + kBatchNormEps);
    conv->bias[c] = shift[c] - mean[c] * scale[c];
  }
  for (size_t i = 0; i < conv->weight.size(); ++i) conv->weight[i] *= scale[i % size];
  return {};
}

Result<ConvFfnTensors> ReadConvFfn(WeightReader* reader, const std::string& block,
                                   const char* layer_scale, const StageConfig& stage) {
  const int64_t channels = stage.channels;
  const std::string prefix = block + ".ffn";
  ConvFfnTensors ffn;
  if (reader->Has(prefix + ".conv.bias")) {  // folded already
    FASTVLM_ASSIGN_OR_RETURN(ffn.conv,
                             reader->TakeDepthwise(prefix + ".conv", 7, channels, channels));
  } else {
    FASTVLM_ASSIGN_OR_RETURN(
        ffn.conv, reader->TakeDepthwiseWithoutBias(prefix + ".conv", 7, channels, channels));
    FASTVLM_RETURN_IF_ERROR(FoldBatchNorm(reader, prefix, &ffn.conv));
  }
  FASTVLM_ASSIGN_OR_RETURN(ffn.fc1,
                           reader->TakePointwise(prefix + ".fc1", stage.ffn_channels, channels));
  FASTVLM_ASSIGN_OR_RETURN(ffn.fc2,
                           reader->TakePointwise(prefix + ".fc2", channels, stage.ffn_channels));
  FASTVLM_ASSIGN_OR_RETURN(ffn.layer_scale,
                           reader->TakeValues(block + layer_scale, {channels, 1, 1}));
  return ffn;
}

Result<RepMixerTensors> ReadRepMixer(WeightReader* reader, const std::string& block,
                                     const StageConfig& stage) {
  RepMixerTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(
      tensors.mixer, reader->TakeDepthwise(block + ".mixer", 3, stage.channels, stage.channels));
  FASTVLM_ASSIGN_OR_RETURN(tensors.ffn, ReadConvFfn(reader, block, ".layer_scale", stage));
  return tensors;
}

Result<AttentionTensors> ReadAttention(WeightReader* reader, const std::string& block,
                                       const StageConfig& stage) {
  const int64_t channels = stage.channels;
  AttentionTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(tensors.norm_gain,
                           reader->TakeValues(block + ".norm.weight", {channels}));
  FASTVLM_ASSIGN_OR_RETURN(tensors.norm_bias, reader->TakeValues(block + ".norm.bias", {channels}));
  FASTVLM_ASSIGN_OR_RETURN(tensors.qkv,
                           reader->TakeLinearWithoutBias(block + ".qkv", 3 * channels, channels));
  FASTVLM_ASSIGN_OR_RETURN(tensors.projection,
                           reader->TakeLinear(block + ".projection", channels, channels));
  FASTVLM_ASSIGN_OR_RETURN(tensors.layer_scale,
                           reader->TakeValues(block + ".layer_scale_1", {channels, 1, 1}));
  FASTVLM_ASSIGN_OR_RETURN(tensors.ffn, ReadConvFfn(reader, block, ".layer_scale_2", stage));
  return tensors;
}

Status CheckMultiple(const WeightReader& reader, const std::string& name, int64_t value,
                     int64_t divisor, const char* what) {
  if (value % divisor == 0) return {};
  return reader.BadTensor(
      name, fmt::format("expected a multiple of {} {}, found {}", divisor, what, value));
}

// Sets channels; `previous` is the width of the stage before.
Result<DownsampleTensors> ReadDownsample(WeightReader* reader, const std::string& prefix,
                                         int64_t previous, StageConfig* stage) {
  const std::string conv = prefix + ".conv";
  FASTVLM_ASSIGN_OR_RETURN(stage->channels, reader->Size(conv + ".weight", 4, 0));
  FASTVLM_RETURN_IF_ERROR(CheckMultiple(*reader, conv + ".weight", stage->channels, previous,
                                        "channels (those of the stage before)"));
  DownsampleTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(tensors.conv, reader->TakeDepthwise(conv, 7, previous, stage->channels));
  FASTVLM_ASSIGN_OR_RETURN(
      tensors.pointwise,
      reader->TakePointwise(prefix + ".pointwise", stage->channels, stage->channels));
  return tensors;
}

Status ReadBlocks(WeightReader* reader, const std::string& prefix, int64_t head_dim,
                  StageConfig* stage, StageTensors* tensors) {
  stage->blocks = reader->CountChildren(prefix);
  const std::string first = prefix + "0";
  FASTVLM_ASSIGN_OR_RETURN(stage->ffn_channels, reader->Size(first + ".ffn.fc1.weight", 4, 0));
  const bool rep_mixer = reader->Has(first + ".mixer.weight") || reader->Has(first + ".mixer.bias");
  stage->mixer = rep_mixer ? Mixer::kRepMixer : Mixer::kAttention;
  if (!rep_mixer) {
    const std::string qkv = first + ".qkv.weight";
    FASTVLM_RETURN_IF_ERROR(reader->Size(qkv, 2, 0).status());
    FASTVLM_RETURN_IF_ERROR(
        CheckMultiple(*reader, qkv, stage->channels, head_dim, "channels (the width of a head)"));
  }
  for (int64_t i = 0; i < stage->blocks; ++i) {
    const std::string block = prefix + std::to_string(i);
    if (!rep_mixer) {
      FASTVLM_ASSIGN_OR_RETURN(AttentionTensors read, ReadAttention(reader, block, *stage));
      tensors->attention_blocks.push_back(std::move(read));
    } else {
      FASTVLM_ASSIGN_OR_RETURN(RepMixerTensors read, ReadRepMixer(reader, block, *stage));
      tensors->rep_mixer_blocks.push_back(std::move(read));
    }
  }
  return {};
}

Status ReadStages(WeightReader* reader, int64_t stem_channels, VisionConfig* config,
                  VisionTensors* tensors) {
  const int64_t stages = reader->CountChildren("vision.stages.");
  if (stages > kMaxStages) {
    return Error(StatusCode::kUnsupported, "{}: {} stages, expected at most {}", reader->path(),
                 stages, kMaxStages);
  }
  int64_t previous = stem_channels;
  for (int64_t s = 0; s < stages; ++s) {
    const std::string prefix = fmt::format("vision.stages.{}", s);
    StageConfig& stage = config->stages.emplace_back();
    StageTensors& read = tensors->stages.emplace_back();
    stage.channels = previous;
    if (s > 0) {
      FASTVLM_ASSIGN_OR_RETURN(read.downsample,
                               ReadDownsample(reader, prefix + ".downsample", previous, &stage));
    }
    stage.position_encoding = reader->Has(prefix + ".position.weight");
    if (stage.position_encoding) {
      FASTVLM_ASSIGN_OR_RETURN(
          read.position,
          reader->TakeDepthwise(prefix + ".position", 7, stage.channels, stage.channels));
    }
    FASTVLM_RETURN_IF_ERROR(
        ReadBlocks(reader, prefix + ".blocks.", config->head_dim, &stage, &read));
    previous = stage.channels;
  }
  return {};
}

// [channels, 3, 3, 3] -> [3, 3, 3, channels] with the input channel after ky and kx.
std::vector<float> TransposeStem(const std::vector<float>& weight, int64_t channels) {
  std::vector<float> result(weight.size());
  size_t next = 0;
  for (int64_t tap = 0; tap < 9; ++tap) {
    for (int64_t input = 0; input < 3; ++input) {
      for (int64_t c = 0; c < channels; ++c) {
        result[next++] = weight[static_cast<size_t>((c * 3 + input) * 9 + tap)];
      }
    }
  }
  return result;
}

Result<int64_t> ReadStem(WeightReader* reader, VisionTensors* tensors) {
  FASTVLM_ASSIGN_OR_RETURN(const int64_t channels, reader->Size("vision.stem.0.weight", 4, 0));
  FASTVLM_ASSIGN_OR_RETURN(const auto weight,
                           reader->TakeValues("vision.stem.0.weight", {channels, 3, 3, 3}));
  tensors->stem_conv = TransposeStem(weight, channels);
  FASTVLM_ASSIGN_OR_RETURN(tensors->stem_conv_bias,
                           reader->TakeValues("vision.stem.0.bias", {channels}));
  FASTVLM_ASSIGN_OR_RETURN(tensors->stem_depthwise,
                           reader->TakeDepthwise("vision.stem.1", 3, channels, channels));
  FASTVLM_ASSIGN_OR_RETURN(tensors->stem_pointwise,
                           reader->TakePointwise("vision.stem.2", channels, channels));
  return channels;
}

}  // namespace

Result<VisionTensors> ReadVision(WeightReader* reader, VisionConfig* config) {
  VisionTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(const int64_t stem_channels, ReadStem(reader, &tensors));
  FASTVLM_RETURN_IF_ERROR(ReadStages(reader, stem_channels, config, &tensors));
  if (config->stages.empty()) {
    return reader->BadTensor("vision.stem.0.weight", "found a stem, but no stages after it");
  }

  const int64_t last = config->stages.back().channels;
  FASTVLM_ASSIGN_OR_RETURN(const int64_t features, reader->Size("vision.expand.weight", 4, 0));
  FASTVLM_RETURN_IF_ERROR(CheckMultiple(*reader, "vision.expand.weight", features, last,
                                        "channels (those of the last stage)"));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t squeezed, reader->Size("vision.squeeze.weight", 4, 0));
  config->feature_channels = features;
  config->se_channels = squeezed;
  FASTVLM_ASSIGN_OR_RETURN(tensors.expand,
                           reader->TakeDepthwise("vision.expand", 3, last, features));
  FASTVLM_ASSIGN_OR_RETURN(tensors.squeeze,
                           reader->TakePointwise("vision.squeeze", squeezed, features));
  FASTVLM_ASSIGN_OR_RETURN(tensors.excite,
                           reader->TakePointwise("vision.excite", features, squeezed));
  return tensors;
}

Result<ProjectorTensors> ReadProjector(WeightReader* reader, int64_t features, int64_t hidden) {
  ProjectorTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(tensors.first, reader->TakeLinear("projector.first", hidden, features));
  FASTVLM_ASSIGN_OR_RETURN(tensors.second, reader->TakeLinear("projector.second", hidden, hidden));
  return tensors;
}

}  // namespace fastvlm
