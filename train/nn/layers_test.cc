#include "train/nn/layers.h"

#include <gtest/gtest.h>

namespace fastvlm::train {
namespace {

void Randomize(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (Tensor& parameter : module.parameters()) parameter.copy_(torch::randn(parameter.sizes()));
  for (const auto& buffer : module.named_buffers()) {
    Tensor value = buffer.value();
    value.copy_(buffer.key().ends_with("running_var") ? torch::rand(value.sizes()) + 0.5
                                                      : torch::randn(value.sizes()));
  }
}

// The fused convolution by torch itself.
Tensor Convolve(const FusedConv& conv, const Tensor& x, int64_t stride) {
  const int64_t groups = x.size(3) / conv.weight.size(1), kernel = conv.weight.size(2);
  return torch::conv2d(x.permute({0, 3, 1, 2}), conv.weight, conv.bias, stride, kernel / 2, 1,
                       groups)
      .permute({0, 2, 3, 1});
}

void ExpectClose(const Tensor& found, const Tensor& expected) {
  ASSERT_EQ(found.sizes(), expected.sizes());
  EXPECT_LE((found - expected).abs().max().item<float>(),
            1e-5f * expected.abs().max().item<float>());
}

class LayersTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(11); }
  const torch::NoGradGuard no_grad_;
};

TEST_F(LayersTest, FusedBranchesGiveTheSame) {
  const RepConvShape shapes[] = {
      {.kind = ConvKind::kStem, .in = 3, .out = 8, .kernel = 3, .stride = 2},
      {.kind = ConvKind::kDepthwise, .in = 8, .out = 8, .kernel = 3, .stride = 2},
      {.kind = ConvKind::kDepthwise, .in = 8, .out = 8, .kernel = 3, .gelu = false},
      {.kind = ConvKind::kDepthwise, .in = 6, .out = 18, .kernel = 7, .stride = 2},
      {.kind = ConvKind::kPointwise, .in = 8, .out = 8},
      {.kind = ConvKind::kPointwise, .in = 8, .out = 5},
  };
  for (const RepConvShape& shape : shapes) {
    for (const bool multi_branch : {false, true}) {
      RepConv conv(shape, multi_branch);
      Randomize(conv);
      const Tensor x = torch::randn({2, 9, 8, shape.in});
      ForwardContext context;
      const Tensor fused = Convolve(conv.Fuse(), x, shape.stride);
      ExpectClose(conv.Forward(x, context), shape.gelu ? torch::gelu(fused) : fused);
      EXPECT_TRUE(context.moments.empty());
    }
  }
}

TEST_F(LayersTest, ProductsInBf16AreCloseAndF32) {
  for (const RepConvShape& shape :
       {RepConvShape{.kind = ConvKind::kStem, .in = 3, .out = 8, .kernel = 3, .stride = 2},
        RepConvShape{.kind = ConvKind::kPointwise, .in = 8, .out = 8}}) {
    RepConv conv(shape, false);
    const Tensor x = torch::rand({2, 8, 8, shape.in});
    ForwardContext exact, context;
    exact.training = context.training = true;
    const Tensor expected = conv.Forward(x, exact);
    const Bf16Products guard(true);
    const Tensor found = conv.Forward(x, context);
    EXPECT_EQ(found.scalar_type(), torch::kFloat);
    EXPECT_LE((found - expected).abs().max().item<float>(), 0.05f);
  }
}

TEST_F(LayersTest, RecentredNormalisationsComputeTheSame) {
  BatchNormLayer norm(4);
  Randomize(norm);
  const Tensor x = torch::randn({3, 5, 7, 4}) * 3 + torch::tensor({5.0f, -2.0f, 0.0f, 0.5f});
  ForwardContext measured;
  measured.measure = true;
  const Tensor before = norm.Forward(x, false, measured);
  Recentre({measured, measured});
  ForwardContext again, trained;
  trained.training = true;
  const auto near = [&](const Tensor& found) {
    return (found - before).abs().max().item<float>() <= 1e-4f * before.abs().max().item<float>();
  };
  EXPECT_TRUE(near(norm.Forward(x, false, again)));
  EXPECT_TRUE(near(norm.Forward(x, false, trained))) << "by the moments of x itself";
}

TEST_F(LayersTest, BranchesAreThereWhereShapesAllow) {
  const auto branches = [](const RepConvShape& shape) {
    const RepConv conv(shape, true);
    return std::pair(conv.small_norm != nullptr, conv.identity_norm != nullptr);
  };
  EXPECT_EQ(branches({.kind = ConvKind::kDepthwise, .in = 8, .out = 8, .kernel = 3}),
            std::pair(true, true));
  EXPECT_EQ(branches({.kind = ConvKind::kDepthwise, .in = 8, .out = 16, .kernel = 7, .stride = 2}),
            std::pair(true, false));
  EXPECT_EQ(branches({.kind = ConvKind::kPointwise, .in = 8, .out = 8}), std::pair(false, true));
}

TEST_F(LayersTest, FusedRepMixerGivesTheSame) {
  BranchedRepMixer mixer(12, 0.5f);
  Randomize(mixer);
  const Tensor x = torch::randn({2, 5, 6, 12});
  ForwardContext context;
  ExpectClose(mixer.Forward(x, context), Convolve(mixer.Fuse(), x, 1));
}

TEST_F(LayersTest, FusedResidualGivesTheSame) {
  ResidualDepthwise layer(12, 7);
  Randomize(layer);
  const Tensor x = torch::randn({2, 5, 6, 12});
  ExpectClose(layer.Forward(x), Convolve(layer.Fuse(), x, 1));
}

TEST_F(LayersTest, RunningMomentsFollowTraining) {
  BatchNormLayer norm(4);
  const Tensor x = torch::randn({50, 4}) * 2 + 3;
  ForwardContext context{.training = true, .moments = {}};
  norm.Forward(x, false, context);
  EXPECT_EQ(norm.running_mean.abs().max().item<float>(), 0);
  UpdateRunningMoments(context);
  const auto momentum = static_cast<float>(kBatchNormMomentum);
  ExpectClose(norm.running_mean, x.mean(0) * momentum);
  ExpectClose(norm.running_variance, 1 - momentum + x.var(0, false) * momentum);
}

}  // namespace
}  // namespace fastvlm::train
