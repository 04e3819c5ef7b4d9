// The layers of FastViTHD in the form they are trained in. Feature maps are [batch, height, width,
// channels]. Fuse() gives the one convolution that computes the same in inference
// (reparameterisation).
#ifndef FASTVLM_TRAIN_NN_LAYERS_H_
#define FASTVLM_TRAIN_NN_LAYERS_H_

#include <torch/torch.h>

#include <memory>
#include <utility>
#include <vector>

#include "train/nn/functions.h"

namespace fastvlm::train {

struct BatchNormLayer;

// One forward pass. In training every BatchNormLayer normalises by the moments of its input and
// leaves them here, so that passes over the shards of a batch can run side by side.
struct ForwardContext {
  bool training = false;
  bool measure = false;  // leaves the moments here outside of training too
  std::vector<std::pair<BatchNormLayer*, Moments>> moments;
};

// Takes the moments of a pass into the running averages of their layers.
void UpdateRunningMoments(const ForwardContext& context);

// Sets the running moments of every layer to the mean of what passes with `measure` left, and
// changes its gain and bias so that it still computes what it did. Training, which normalises by
// the moments of a batch, then begins with nearly the results of inference.
void Recentre(const std::vector<ForwardContext>& contexts);

struct BatchNormLayer : torch::nn::Module {
  explicit BatchNormLayer(int64_t channels);
  Tensor Forward(const Tensor& x, bool gelu, ForwardContext& context);

  Tensor gain, bias, running_mean, running_variance;
};
inline constexpr double kBatchNormEps = 1e-5;
inline constexpr double kBatchNormMomentum = 0.05;

// A convolution with a bias, for inference: weight [out, in / groups, kernel, kernel], bias [out].
struct FusedConv {
  Tensor weight, bias;
};

enum class ConvKind { kStem, kDepthwise, kPointwise };  // kStem: dense 3x3 of a picture, stride 2

struct RepConvShape {
  ConvKind kind = ConvKind::kPointwise;
  int64_t in = 0, out = 0;
  int64_t kernel = 1, stride = 1;
  bool gelu = true;
};

// MobileOne block: the sum of normalised branches, then GELU. One branch is the convolution itself;
// with multi_branch there are also a 1x1 convolution (for 7x7 kernels a 3x3, as in FastViT's large
// kernels) and, where shapes allow, the identity.
struct RepConv : torch::nn::Module {
  RepConv(const RepConvShape& shape, bool multi_branch);
  Tensor Forward(const Tensor& x, ForwardContext& context);
  FusedConv Fuse() const;

  RepConvShape shape;
  Tensor weight;        // stem [27, out], depthwise [kernel, kernel, out], pointwise [out, in]
  Tensor small_weight;  // depthwise [1 or 3, the same, out]; not for other kinds
  std::shared_ptr<BatchNormLayer> norm, small_norm, identity_norm;
};

// x + depthwise(x) + bias: RepCPE, and a RepMixer trained in its inference form.
struct ResidualDepthwise : torch::nn::Module {
  ResidualDepthwise(int64_t channels, int64_t kernel);
  Tensor Forward(const Tensor& x);
  FusedConv Fuse() const;

  Tensor weight, bias;
};

// RepMixer in training form: x + scale * (mixer(x) - norm(x)).
struct BranchedRepMixer : torch::nn::Module {
  BranchedRepMixer(int64_t channels, float layer_scale);
  Tensor Forward(const Tensor& x, ForwardContext& context);
  FusedConv Fuse() const;

  std::shared_ptr<RepConv> mixer;
  std::shared_ptr<BatchNormLayer> norm;
  Tensor scale;
};

// 7x7 depthwise, batch norm, 1x1, GELU, 1x1.
struct ConvFfn : torch::nn::Module {
  ConvFfn(int64_t channels, int64_t hidden);
  Tensor Forward(const Tensor& x, ForwardContext& context);

  Tensor conv;  // [7, 7, channels]
  std::shared_ptr<BatchNormLayer> norm;
  Tensor fc1_weight, fc1_bias, fc2_weight, fc2_bias;
};

// Squeeze and excite: x * sigmoid(expand(relu(reduce(mean x)))).
struct SqueezeExcite : torch::nn::Module {
  explicit SqueezeExcite(int64_t channels);
  Tensor Forward(const Tensor& x);

  Tensor reduce_weight, reduce_bias, expand_weight, expand_bias;
};

// Normal random values of the given standard deviation.
Tensor RandomWeight(torch::IntArrayRef shape, double deviation);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_LAYERS_H_
