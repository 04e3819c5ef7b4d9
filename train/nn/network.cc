#include "train/nn/network.h"

#include <cmath>
#include <limits>

namespace fastvlm::train {
namespace {

constexpr int64_t kEncoderHeadDim = 32;  // fixed in FastViTHD
constexpr double kLayerNormEps = 1e-5;

std::shared_ptr<RepConv> MakeConv(ConvKind kind, int64_t in, int64_t out, int64_t kernel,
                                  int64_t stride, bool gelu, bool multi_branch) {
  return std::make_shared<RepConv>(
      RepConvShape{
          .kind = kind, .in = in, .out = out, .kernel = kernel, .stride = stride, .gelu = gelu},
      multi_branch);
}

double Deviation(int64_t fan_in) { return 1 / std::sqrt(static_cast<double>(fan_in)); }

// Lets some of the kernels [7, 7, channels] before a stage of attention tell where they are. Such a
// kernel adds one half of its window and subtracts the other. The halves cancel inside of the
// picture; at a border one of them reads the zeros of the padding. As the values are positive on
// the whole, the sum therefore grows from top to bottom, or from left to right. Networks that began
// with random kernels alone never learned to tell places apart.
void AddPositionRamps(Tensor kernel) {
  constexpr float kTap = 0.15f;
  constexpr int64_t kEvery = 12;  // of the channels, one down and one across
  torch::NoGradGuard no_grad;
  for (int64_t c = 0; c + kEvery <= kernel.size(2); c += kEvery) {
    const Tensor down = kernel.select(2, c), across = kernel.select(2, c + kEvery / 2);
    down.narrow(0, 0, 3).add_(kTap);
    down.narrow(0, 4, 3).sub_(kTap);
    across.narrow(1, 0, 3).add_(kTap);
    across.narrow(1, 4, 3).sub_(kTap);
  }
}

}  // namespace

Downsample::Downsample(int64_t in, int64_t out, bool multi_branch) {
  conv = register_module("conv", MakeConv(ConvKind::kDepthwise, in, out, 7, 2, true, multi_branch));
  pointwise = register_module("pointwise",
                              MakeConv(ConvKind::kPointwise, out, out, 1, 1, true, multi_branch));
}

RepMixerBlock::RepMixerBlock(const StageShape& stage, bool multi_branch, float scale) {
  const int64_t channels = stage.channels;
  if (multi_branch) {
    branched_mixer = register_module("mixer", std::make_shared<BranchedRepMixer>(channels, scale));
  } else {
    mixer = register_module("mixer", std::make_shared<ResidualDepthwise>(channels, 3));
  }
  ffn = register_module("ffn", std::make_shared<ConvFfn>(channels, channels * stage.ffn_ratio));
  layer_scale = register_parameter("layer_scale", torch::full({channels}, scale));
}

Tensor RepMixerBlock::Forward(const Tensor& x, ForwardContext& context) {
  const Tensor mixed = mixer ? mixer->Forward(x) : branched_mixer->Forward(x, context);
  return torch::addcmul(mixed, layer_scale, ffn->Forward(mixed, context));
}

FusedConv RepMixerBlock::FuseMixer() const {
  return mixer ? mixer->Fuse() : branched_mixer->Fuse();
}

AttentionBlock::AttentionBlock(const StageShape& stage, float scale) {
  const int64_t c = stage.channels;
  norm_gain = register_parameter("norm_gain", torch::ones({c}));
  norm_bias = register_parameter("norm_bias", torch::zeros({c}));
  qkv_weight = register_parameter("qkv_weight", RandomWeight({3 * c, c}, Deviation(c)));
  projection_weight = register_parameter("projection_weight", RandomWeight({c, c}, Deviation(c)));
  projection_bias = register_parameter("projection_bias", torch::zeros({c}));
  layer_scale_1 = register_parameter("layer_scale_1", torch::full({c}, scale));
  layer_scale_2 = register_parameter("layer_scale_2", torch::full({c}, scale));
  ffn = register_module("ffn", std::make_shared<ConvFfn>(c, c * stage.ffn_ratio));
}

Tensor AttentionBlock::Forward(const Tensor& x, ForwardContext& context) {
  const int64_t batch = x.size(0), tokens = x.size(1) * x.size(2), channels = x.size(3);
  const Tensor y = torch::layer_norm(x, {channels}, norm_gain, norm_bias, kLayerNormEps);
  const auto parts = Linear(y.view({batch, tokens, channels}), qkv_weight)
                         .view({batch, tokens, 3 * channels / kEncoderHeadDim, kEncoderHeadDim})
                         .chunk(3, 2);
  const Tensor mixed = Attention(parts[0], parts[1], parts[2], Tensor());
  const Tensor projected = Linear(mixed.reshape(x.sizes()), projection_weight, projection_bias);
  const Tensor z = torch::addcmul(x, layer_scale_1, projected);
  return torch::addcmul(z, layer_scale_2, ffn->Forward(z, context));
}

Encoder::Encoder(const NetworkConfig& config) {
  const bool multi = config.multi_branch;
  const int64_t first = config.stages.front().channels;
  stem = {MakeConv(ConvKind::kStem, 3, first, 3, 2, true, multi),
          MakeConv(ConvKind::kDepthwise, first, first, 3, 2, true, multi),
          MakeConv(ConvKind::kPointwise, first, first, 1, 1, true, multi)};
  for (size_t i = 0; i < stem.size(); ++i) {
    register_module(fmt::format("stem_{}", i), stem[i]);
  }
  int64_t previous = first;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const StageShape& shape = config.stages[i];
    auto stage = register_module(fmt::format("stage_{}", i), std::make_shared<Stage>());
    stages.push_back(stage);
    if (i > 0) {
      stage->downsample = stage->register_module(
          "downsample", std::make_shared<Downsample>(previous, shape.channels, multi));
    }
    if (shape.attention) {
      stage->position = stage->register_module(
          "position", std::make_shared<ResidualDepthwise>(shape.channels, 7));
      AddPositionRamps(stage->position->weight);
    }
    for (int64_t b = 0; b < shape.blocks; ++b) {
      const std::string name = fmt::format("block_{}", b);
      if (shape.attention) {
        stage->attention_blocks.push_back(stage->register_module(
            name, std::make_shared<AttentionBlock>(shape, config.layer_scale)));
      } else {
        stage->rep_mixer_blocks.push_back(stage->register_module(
            name, std::make_shared<RepMixerBlock>(shape, multi, config.layer_scale)));
      }
    }
    previous = shape.channels;
  }
  expand = register_module(
      "expand", MakeConv(ConvKind::kDepthwise, previous, 2 * previous, 3, 1, false, multi));
  squeeze_excite = register_module("se", std::make_shared<SqueezeExcite>(2 * previous));
}

Tensor Encoder::Forward(const Tensor& images, ForwardContext& context) {
  Tensor x = images;
  for (const auto& conv : stem) x = conv->Forward(x, context);
  for (const auto& stage : stages) {
    if (stage->downsample) {
      x = stage->downsample->conv->Forward(x, context);
      x = stage->downsample->pointwise->Forward(x, context);
    }
    if (stage->position) x = stage->position->Forward(x);
    for (const auto& block : stage->rep_mixer_blocks) x = block->Forward(x, context);
    for (const auto& block : stage->attention_blocks) x = block->Forward(x, context);
  }
  return Gelu(squeeze_excite->Forward(expand->Forward(x, context)));
}

DecoderLayer::DecoderLayer(const NetworkConfig& config) {
  const int64_t h = config.hidden, kv = config.kv_heads * config.head_dim();
  const double deep = Deviation(h) / std::sqrt(2.0 * static_cast<double>(config.layers));
  input_norm = register_parameter("input_norm", torch::ones({h}));
  q_weight = register_parameter("q_weight", RandomWeight({h, h}, Deviation(h)));
  q_bias = register_parameter("q_bias", torch::zeros({h}));
  k_weight = register_parameter("k_weight", RandomWeight({kv, h}, Deviation(h)));
  k_bias = register_parameter("k_bias", torch::zeros({kv}));
  v_weight = register_parameter("v_weight", RandomWeight({kv, h}, Deviation(h)));
  v_bias = register_parameter("v_bias", torch::zeros({kv}));
  o_weight = register_parameter("o_weight", RandomWeight({h, h}, deep));
  post_norm = register_parameter("post_norm", torch::ones({h}));
  const int64_t wide = config.intermediate;
  gate_weight = register_parameter("gate_weight", RandomWeight({wide, h}, Deviation(h)));
  up_weight = register_parameter("up_weight", RandomWeight({wide, h}, Deviation(h)));
  down_weight = register_parameter("down_weight", RandomWeight({h, wide}, deep));
}

Decoder::Decoder(const NetworkConfig& c) : config(c) {
  embedding =
      register_parameter("embedding", RandomWeight({c.vocabulary, c.hidden}, Deviation(c.hidden)));
  final_norm = register_parameter("final_norm", torch::ones({c.hidden}));
  for (int64_t i = 0; i < c.layers; ++i) {
    layers.push_back(
        register_module(fmt::format("layer_{}", i), std::make_shared<DecoderLayer>(c)));
  }
}

Tensor Decoder::Embed(const Tensor& ids) const { return torch::embedding(embedding, ids); }

namespace {

// q: [batch, tokens, heads, dim], k: [batch, tokens, kv_heads, dim], rotated.
void FillScores(const Tensor& q, const Tensor& k, const Tensor& segments, AttentionLook* look) {
  const int64_t tokens = q.size(1);
  const Tensor picture = look->rows.div(tokens, "floor"), place = look->rows.remainder(tokens);
  const Tensor query = q.select(2, 0).index({picture, place}).unsqueeze(1);  // [n, 1, dim]
  const Tensor keys = k.select(2, 0).index_select(0, picture);               // [n, tokens, dim]
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor segment = segments.index_select(0, picture);
  const Tensor own = segments.index({picture, place}).unsqueeze(1);
  const Tensor seen = torch::arange(tokens)
                          .unsqueeze(0)
                          .le(place.unsqueeze(1))
                          .logical_and(segment.eq(0).logical_or(segment.eq(own)));
  look->scores = ((query * keys).sum(-1) * scale)
                     .masked_fill(seen.logical_not(), -std::numeric_limits<float>::infinity());
}

}  // namespace

Tensor Decoder::Forward(Tensor x, const Tensor& positions, const Tensor& segments,
                        AttentionLook* look) const {
  const int64_t batch = x.size(0), tokens = x.size(1), dim = config.head_dim();
  const Tensor power = torch::arange(0, dim, 2, torch::kDouble) / static_cast<double>(dim);
  const Tensor frequency = torch::pow(config.rope_theta, -power);
  const Tensor angle = positions.to(torch::kDouble).unsqueeze(-1) * frequency;
  const Tensor cos = angle.cos().to(torch::kFloat), sin = angle.sin().to(torch::kFloat);
  const auto heads = [&](const Tensor& y, int64_t count) {
    return y.view({batch, tokens, count, dim});
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& layer = layers[i];
    const Tensor n = RmsNorm(x, layer->input_norm, config.rms_norm_eps);
    const Tensor q = Rope(heads(Linear(n, layer->q_weight, layer->q_bias), config.heads), cos, sin);
    const Tensor k =
        Rope(heads(Linear(n, layer->k_weight, layer->k_bias), config.kv_heads), cos, sin);
    if (look != nullptr && static_cast<int64_t>(i) == look->layer) FillScores(q, k, segments, look);
    const Tensor v = heads(Linear(n, layer->v_weight, layer->v_bias), config.kv_heads);
    const Tensor mixed = Attention(q, k, v, segments);
    x = x + Linear(mixed.view({batch, tokens, config.hidden}), layer->o_weight);
    const Tensor m = RmsNorm(x, layer->post_norm, config.rms_norm_eps);
    x = x + Linear(SiluMul(Linear(m, layer->gate_weight), Linear(m, layer->up_weight)),
                   layer->down_weight);
  }
  return x;
}

Tensor Decoder::Logits(const Tensor& hidden) const {
  return Linear(RmsNorm(hidden, final_norm, config.rms_norm_eps), embedding);
}

Network::Network(const NetworkConfig& c) : config(c) {
  encoder = register_module("encoder", std::make_shared<Encoder>(c));
  decoder = register_module("decoder", std::make_shared<Decoder>(c));
  const int64_t f = c.features(), h = c.hidden;
  project_1_weight = register_parameter("project_1_weight", RandomWeight({h, f}, Deviation(f)));
  project_1_bias = register_parameter("project_1_bias", torch::zeros({h}));
  project_2_weight = register_parameter("project_2_weight", RandomWeight({h, h}, Deviation(h)));
  project_2_bias = register_parameter("project_2_bias", torch::zeros({h}));
  class_weight = register_parameter("class_weight", RandomWeight({c.concepts, f}, Deviation(f)));
  class_bias = register_parameter("class_bias", torch::zeros({c.concepts}));
}

Tensor Network::Project(const Tensor& features) const {
  return Linear(Gelu(Linear(features, project_1_weight, project_1_bias)), project_2_weight,
                project_2_bias);
}

}  // namespace fastvlm::train
