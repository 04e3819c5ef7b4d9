// The weights of a FastVLM by their place in the model, whatever the layout of the file.
// Large matrices are views into the file; small ones are f32 copies, with BatchNorm folded and
// depthwise kernels transposed for NHWC.
#ifndef FASTVLM_CHECKPOINT_WEIGHTS_H_
#define FASTVLM_CHECKPOINT_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "checkpoint/tensor.h"

namespace fastvlm {

// weight: [out, in] or [out, in, 1, 1]. bias: [out], or empty if the layer has none.
struct LinearTensors {
  Tensor weight;
  std::vector<float> bias;
};

// weight: [kernel, kernel, out]; bias: [out]. Output channel o reads input channel o / (out / in).
struct DepthwiseTensors {
  int kernel = 0;
  int64_t in = 0;
  int64_t out = 0;
  std::vector<float> weight;
  std::vector<float> bias;
};

// x + layer_scale * fc2(gelu(fc1(conv(x)))); conv is 7x7 with its BatchNorm folded in.
struct ConvFfnTensors {
  DepthwiseTensors conv;
  LinearTensors fc1;
  LinearTensors fc2;
  std::vector<float> layer_scale;  // [channels]
};

struct RepMixerTensors {
  DepthwiseTensors mixer;  // 3x3
  ConvFfnTensors ffn;
};

struct AttentionTensors {
  std::vector<float> norm_gain;  // [channels]
  std::vector<float> norm_bias;
  LinearTensors qkv;               // [3 * channels, channels], rows q, k, v
  LinearTensors projection;        // [channels, channels]
  std::vector<float> layer_scale;  // [channels], of the attention branch
  ConvFfnTensors ffn;
};

struct DownsampleTensors {
  DepthwiseTensors conv;  // 7x7, stride 2
  LinearTensors pointwise;
};

struct StageTensors {
  std::optional<DownsampleTensors> downsample;  // all but the first stage
  std::optional<DepthwiseTensors> position;     // RepCPE, 7x7
  std::vector<RepMixerTensors> rep_mixer_blocks;
  std::vector<AttentionTensors> attention_blocks;
};

struct VisionTensors {
  std::vector<float> stem_conv;  // [3, 3, 3, channels]: ky, kx, input channel, output channel
  std::vector<float> stem_conv_bias;
  DepthwiseTensors stem_depthwise;  // 3x3, stride 2
  LinearTensors stem_pointwise;
  std::vector<StageTensors> stages;
  DepthwiseTensors expand;  // conv_exp, 3x3
  LinearTensors squeeze;    // squeeze-excite: channels -> se_channels
  LinearTensors excite;     // se_channels -> channels
};

struct ProjectorTensors {
  LinearTensors first;
  LinearTensors second;
};

struct DecoderLayerTensors {
  std::vector<float> input_norm;  // [hidden]
  LinearTensors q, k, v, o;
  std::vector<float> post_attention_norm;
  LinearTensors gate, up, down;
};

struct DecoderTensors {
  Tensor embedding;  // [vocab_rows, hidden]
  std::vector<DecoderLayerTensors> layers;
  std::vector<float> final_norm;
  Tensor head;  // [vocab_rows, hidden]; the embedding when tied
};

struct ModelTensors {
  VisionTensors vision;
  ProjectorTensors projector;
  DecoderTensors decoder;
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_WEIGHTS_H_
