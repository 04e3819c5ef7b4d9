// The whole model in training form: encoder, projector, decoder, and the auxiliary class head.
#ifndef FASTVLM_TRAIN_NN_NETWORK_H_
#define FASTVLM_TRAIN_NN_NETWORK_H_

#include <memory>
#include <string>
#include <vector>

#include "train/nn/config.h"
#include "train/nn/layers.h"

namespace fastvlm::train {

struct Downsample : torch::nn::Module {
  Downsample(int64_t in, int64_t out, bool multi_branch);
  std::shared_ptr<RepConv> conv, pointwise;
};

struct RepMixerBlock : torch::nn::Module {
  RepMixerBlock(const StageShape& stage, bool multi_branch, float layer_scale);
  Tensor Forward(const Tensor& x, ForwardContext& context);
  FusedConv FuseMixer() const;

  std::shared_ptr<ResidualDepthwise> mixer;  // null if there are branches, else the next one is
  std::shared_ptr<BranchedRepMixer> branched_mixer;
  std::shared_ptr<ConvFfn> ffn;
  Tensor layer_scale;
};

struct AttentionBlock : torch::nn::Module {
  AttentionBlock(const StageShape& stage, float layer_scale);
  Tensor Forward(const Tensor& x, ForwardContext& context);

  Tensor norm_gain, norm_bias, qkv_weight, projection_weight, projection_bias;
  Tensor layer_scale_1, layer_scale_2;
  std::shared_ptr<ConvFfn> ffn;
};

struct Stage : torch::nn::Module {
  std::shared_ptr<Downsample> downsample;       // null in the first stage
  std::shared_ptr<ResidualDepthwise> position;  // RepCPE; null without attention
  std::vector<std::shared_ptr<RepMixerBlock>> rep_mixer_blocks;
  std::vector<std::shared_ptr<AttentionBlock>> attention_blocks;
};

// FastViTHD. Images [batch, height, width, 3] in [0, 1] -> features [batch, height / stride, width
// / stride, channels].
struct Encoder : torch::nn::Module {
  explicit Encoder(const NetworkConfig& config);
  Tensor Forward(const Tensor& images, ForwardContext& context);

  std::vector<std::shared_ptr<RepConv>> stem;
  std::vector<std::shared_ptr<Stage>> stages;
  std::shared_ptr<RepConv> expand;
  std::shared_ptr<SqueezeExcite> squeeze_excite;
};

struct DecoderLayer : torch::nn::Module {
  explicit DecoderLayer(const NetworkConfig& config);
  Tensor input_norm, q_weight, q_bias, k_weight, k_bias, v_weight, v_bias, o_weight;
  Tensor post_norm, gate_weight, up_weight, down_weight;
};

// What the first head of one layer looks at, for some of the tokens.
struct AttentionLook {
  int64_t layer = 0;
  Tensor rows;    // int64 [n]: flat indices of tokens
  Tensor scores;  // out: [n, tokens], before softmax; -inf where the token cannot see
};

// Qwen2 with tied embeddings.
struct Decoder : torch::nn::Module {
  explicit Decoder(const NetworkConfig& config);
  // x: [batch, tokens, hidden]; positions: int64 [batch, tokens]; segments: int32 [batch, tokens],
  // which say which tokens see each other (see Attention). Returns the last layer's output, before
  // the final norm.
  Tensor Forward(Tensor x, const Tensor& positions, const Tensor& segments,
                 AttentionLook* look = nullptr) const;
  Tensor Embed(const Tensor& ids) const;      // int64 [...] -> [..., hidden]
  Tensor Logits(const Tensor& hidden) const;  // final norm and tied head

  NetworkConfig config;
  Tensor embedding, final_norm;
  std::vector<std::shared_ptr<DecoderLayer>> layers;
};

struct Network : torch::nn::Module {
  explicit Network(const NetworkConfig& config);
  Tensor Project(const Tensor& features) const;  // [..., features] -> [..., hidden]

  NetworkConfig config;
  std::shared_ptr<Encoder> encoder;
  std::shared_ptr<Decoder> decoder;
  Tensor project_1_weight, project_1_bias, project_2_weight, project_2_bias;
  Tensor class_weight, class_bias;  // features -> concepts and characters; training only
};

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_NETWORK_H_
