#include "train/nn/layers.h"

#include <cmath>
#include <map>

namespace fastvlm::train {
namespace {

// [kernel, kernel, out] -> [out, 1, kernel, kernel]
Tensor ToOihw(const Tensor& depthwise) { return depthwise.permute({2, 0, 1}).unsqueeze(1); }

// A depthwise kernel that gives x back, [kernel, kernel, channels].
Tensor DeltaKernel(int64_t kernel, int64_t channels) {
  Tensor delta = torch::zeros({kernel, kernel, channels});
  delta[kernel / 2][kernel / 2].fill_(1);
  return delta;
}

Tensor PadKernel(const Tensor& weight, int64_t kernel) {
  const int64_t pad = (kernel - weight.size(-1)) / 2;
  return torch::constant_pad_nd(weight, {pad, pad, pad, pad});
}

// The normalisation's factor and offset in inference.
FusedConv FuseNorm(const BatchNormLayer& norm, const Tensor& oihw) {
  const Tensor scale = norm.gain * (norm.running_variance + kBatchNormEps).rsqrt();
  return {oihw * scale.view({-1, 1, 1, 1}), norm.bias - norm.running_mean * scale};
}

FusedConv Sum(const FusedConv& a, const FusedConv& b) {
  return {a.weight + b.weight, a.bias + b.bias};
}

}  // namespace

Tensor RandomWeight(torch::IntArrayRef shape, double deviation) {
  return torch::randn(shape) * deviation;
}

BatchNormLayer::BatchNormLayer(int64_t channels) {
  gain = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
  running_mean = register_buffer("running_mean", torch::zeros({channels}));
  running_variance = register_buffer("running_var", torch::ones({channels}));
}

Tensor BatchNormLayer::Forward(const Tensor& x, bool gelu, ForwardContext& context) {
  if (context.training) {
    Moments& moments = context.moments.emplace_back(this, Moments()).second;
    return BatchNorm(x, gain, bias, kBatchNormEps, gelu, &moments);
  }
  if (context.measure) {
    const torch::NoGradGuard no_grad;
    context.moments.emplace_back(this, Moments{x.mean({0, 1, 2}), x.var({0, 1, 2}, false)});
  }
  const Tensor scale = gain * (running_variance + kBatchNormEps).rsqrt();
  const Tensor y = x * scale + (bias - running_mean * scale);
  return gelu ? Gelu(y) : y;
}

void UpdateRunningMoments(const ForwardContext& context) {
  torch::NoGradGuard no_grad;
  for (const auto& [layer, moments] : context.moments) {
    layer->running_mean.lerp_(moments.mean, kBatchNormMomentum);
    layer->running_variance.lerp_(moments.variance, kBatchNormMomentum);
  }
}

void Recentre(const std::vector<ForwardContext>& contexts) {
  torch::NoGradGuard no_grad;
  std::map<BatchNormLayer*, std::vector<Moments>> by_layer;
  for (const ForwardContext& context : contexts) {
    for (const auto& [layer, moments] : context.moments) by_layer[layer].push_back(moments);
  }
  for (const auto& [layer, moments] : by_layer) {
    Tensor mean = torch::zeros_like(layer->running_mean), square = torch::zeros_like(mean);
    for (const Moments& one : moments) {
      mean += one.mean / static_cast<double>(moments.size());
      square += (one.variance + one.mean * one.mean) / static_cast<double>(moments.size());
    }
    const Tensor variance = torch::clamp_min(square - mean * mean, 0);
    const Tensor scale = layer->gain * (layer->running_variance + kBatchNormEps).rsqrt();
    layer->bias.add_(scale * (mean - layer->running_mean));
    layer->gain.copy_(scale * (variance + kBatchNormEps).sqrt());
    layer->running_mean.copy_(mean);
    layer->running_variance.copy_(variance);
  }
}

RepConv::RepConv(const RepConvShape& s, bool multi_branch) : shape(s) {
  const double fan_in = s.kind == ConvKind::kStem        ? 27
                        : s.kind == ConvKind::kDepthwise ? static_cast<double>(s.kernel * s.kernel)
                                                         : static_cast<double>(s.in);
  const double deviation = 1 / std::sqrt(fan_in);
  if (s.kind == ConvKind::kStem) {
    weight = register_parameter("weight", RandomWeight({27, s.out}, deviation));
  } else if (s.kind == ConvKind::kDepthwise) {
    weight = register_parameter("weight", RandomWeight({s.kernel, s.kernel, s.out}, deviation));
  } else {
    weight = register_parameter("weight", RandomWeight({s.out, s.in}, deviation));
  }
  norm = register_module("norm", std::make_shared<BatchNormLayer>(s.out));
  if (!multi_branch) return;
  if (s.kind == ConvKind::kDepthwise) {
    const int64_t small = s.kernel == 7 ? 3 : 1;
    small_weight = register_parameter(
        "small_weight", RandomWeight({small, small, s.out}, 1 / static_cast<double>(small)));
    small_norm = register_module("small_norm", std::make_shared<BatchNormLayer>(s.out));
  }
  if (s.in == s.out && s.stride == 1) {
    identity_norm = register_module("identity_norm", std::make_shared<BatchNormLayer>(s.out));
  }
}

Tensor RepConv::Forward(const Tensor& x, ForwardContext& context) {
  Tensor y;
  switch (shape.kind) {
    case ConvKind::kStem:
      y = torch::matmul(StemPatches(x), weight).to(torch::kFloat);  // bf16 under Bf16Products
      break;
    case ConvKind::kDepthwise:
      y = Depthwise(x, weight, shape.stride);
      break;
    case ConvKind::kPointwise:
      y = Linear(x, weight);
      break;
  }
  const bool single = !small_norm && !identity_norm;
  y = norm->Forward(y, single && shape.gelu, context);
  if (single) return y;
  if (small_norm) {
    // At any stride, a 1x1 kernel reads the pixels that are the centres of a larger one.
    const Tensor kernel = small_weight.size(0) == 1
                              ? torch::constant_pad_nd(small_weight, {0, 0, 1, 1, 1, 1})
                              : small_weight;
    y = y + small_norm->Forward(Depthwise(x, kernel, shape.stride), false, context);
  }
  if (identity_norm) y = y + identity_norm->Forward(x, false, context);
  return shape.gelu ? Gelu(y) : y;
}

FusedConv RepConv::Fuse() const {
  torch::NoGradGuard no_grad;
  if (shape.kind == ConvKind::kStem) {
    return FuseNorm(*norm, weight.view({3, 3, 3, shape.out}).permute({3, 2, 0, 1}));
  }
  if (shape.kind == ConvKind::kPointwise) {
    FusedConv fused = FuseNorm(*norm, weight.view({shape.out, shape.in, 1, 1}));
    if (!identity_norm) return fused;
    return Sum(fused,
               FuseNorm(*identity_norm, torch::eye(shape.in).view({shape.in, shape.in, 1, 1})));
  }
  FusedConv fused = FuseNorm(*norm, ToOihw(weight));
  if (small_norm) {
    fused = Sum(fused, FuseNorm(*small_norm, PadKernel(ToOihw(small_weight), shape.kernel)));
  }
  if (identity_norm) {
    fused = Sum(fused, FuseNorm(*identity_norm, ToOihw(DeltaKernel(shape.kernel, shape.out))));
  }
  return fused;
}

ResidualDepthwise::ResidualDepthwise(int64_t channels, int64_t kernel) {
  weight = register_parameter("weight", RandomWeight({kernel, kernel, channels}, 0.02));
  bias = register_parameter("bias", torch::zeros({channels}));
}

Tensor ResidualDepthwise::Forward(const Tensor& x) {
  return Depthwise(x, weight + DeltaKernel(weight.size(0), weight.size(2)), 1) + bias;
}

FusedConv ResidualDepthwise::Fuse() const {
  torch::NoGradGuard no_grad;
  return {ToOihw(weight + DeltaKernel(weight.size(0), weight.size(2))), bias.clone()};
}

BranchedRepMixer::BranchedRepMixer(int64_t channels, float layer_scale) {
  mixer =
      register_module("mixer", std::make_shared<RepConv>(RepConvShape{.kind = ConvKind::kDepthwise,
                                                                      .in = channels,
                                                                      .out = channels,
                                                                      .kernel = 3,
                                                                      .gelu = false},
                                                         true));
  norm = register_module("norm", std::make_shared<BatchNormLayer>(channels));
  scale = register_parameter("scale", torch::full({channels}, layer_scale));
}

Tensor BranchedRepMixer::Forward(const Tensor& x, ForwardContext& context) {
  const Tensor mixed = mixer->Forward(x, context);
  return torch::addcmul(x, scale, mixed - norm->Forward(x, false, context));
}

FusedConv BranchedRepMixer::Fuse() const {
  torch::NoGradGuard no_grad;
  const Tensor delta = ToOihw(DeltaKernel(3, scale.size(0)));
  const FusedConv mixed = mixer->Fuse();
  const FusedConv skipped = FuseNorm(*norm, delta);
  return {delta + scale.view({-1, 1, 1, 1}) * (mixed.weight - skipped.weight),
          scale * (mixed.bias - skipped.bias)};
}

ConvFfn::ConvFfn(int64_t channels, int64_t hidden) {
  conv = register_parameter("conv", RandomWeight({7, 7, channels}, 1.0 / 7));
  norm = register_module("norm", std::make_shared<BatchNormLayer>(channels));
  const double deviation = 1 / std::sqrt(static_cast<double>(channels));
  fc1_weight = register_parameter("fc1_weight", RandomWeight({hidden, channels}, deviation));
  fc1_bias = register_parameter("fc1_bias", torch::zeros({hidden}));
  fc2_weight = register_parameter(
      "fc2_weight", RandomWeight({channels, hidden}, 1 / std::sqrt(static_cast<double>(hidden))));
  fc2_bias = register_parameter("fc2_bias", torch::zeros({channels}));
}

Tensor ConvFfn::Forward(const Tensor& x, ForwardContext& context) {
  const Tensor y = norm->Forward(Depthwise(x, conv, 1), false, context);
  return Linear(Gelu(Linear(y, fc1_weight, fc1_bias)), fc2_weight, fc2_bias);
}

SqueezeExcite::SqueezeExcite(int64_t channels) {
  const int64_t squeezed = std::max<int64_t>(1, (channels + 8) / 16);  // timm's rounding
  const auto deviation = [](int64_t fan_in) { return 1 / std::sqrt(static_cast<double>(fan_in)); };
  reduce_weight =
      register_parameter("reduce_weight", RandomWeight({squeezed, channels}, deviation(channels)));
  reduce_bias = register_parameter("reduce_bias", torch::zeros({squeezed}));
  expand_weight =
      register_parameter("expand_weight", RandomWeight({channels, squeezed}, deviation(squeezed)));
  expand_bias = register_parameter("expand_bias", torch::zeros({channels}));
}

Tensor SqueezeExcite::Forward(const Tensor& x) {
  const Tensor squeezed = torch::relu(Linear(x.mean({1, 2}), reduce_weight, reduce_bias));
  const Tensor gate = torch::sigmoid(Linear(squeezed, expand_weight, expand_bias));
  return x * gate.unsqueeze(1).unsqueeze(1);
}

}  // namespace fastvlm::train
