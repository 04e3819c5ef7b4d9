#include "train/nn/functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace fastvlm::train {
namespace {

using Fn = std::function<Tensor(const std::vector<Tensor>&)>;

Tensor RandomTensor(torch::IntArrayRef shape) { return torch::randn(shape); }

double Largest(const Tensor& x) { return x.abs().max().item<double>(); }

// The function and its gradients against the same formula in torch's own operations and double
// precision, and the gradients against differences of the function itself.
void Check(const Fn& ours, const Fn& reference, std::vector<Tensor> inputs) {
  std::vector<Tensor> wide;
  for (Tensor& input : inputs) {
    wide.push_back(input.to(torch::kDouble).requires_grad_(true));
    input.requires_grad_(true);
  }
  const Tensor y = ours(inputs), expected = reference(wide);
  ASSERT_EQ(y.sizes(), expected.sizes());
  EXPECT_LE(Largest(y - expected), 2e-5 * Largest(expected));

  const Tensor direction = torch::randn(y.sizes());
  const auto gradients = torch::autograd::grad({(y * direction).sum()}, inputs);
  const auto expected_gradients =
      torch::autograd::grad({(expected * direction.to(torch::kDouble)).sum()}, wide);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LE(Largest(gradients[i] - expected_gradients[i]), 5e-5 * Largest(expected_gradients[i]))
        << "gradient of input " << i;

    const torch::NoGradGuard no_grad;
    const Tensor step = torch::randn(inputs[i].sizes());
    const auto moved = [&](double by) {
      std::vector<Tensor> at = inputs;
      at[i] = inputs[i] + step * by;
      return (ours(at).to(torch::kDouble) * direction).sum().item<double>();
    };
    const double h = 2e-3;
    const double slope = (moved(h) - moved(-h)) / (2 * h);
    const double found = (gradients[i] * step).sum().item<double>();
    const double scale = (gradients[i].norm() * step.norm()).item<double>();
    EXPECT_NEAR(slope, found, 5e-3 * scale) << "slope along input " << i;
  }
}

Tensor ReferenceDepthwise(const Tensor& x, const Tensor& weight, int64_t stride) {
  const int64_t groups = x.size(3), kernel = weight.size(0);
  const Tensor oihw = weight.permute({2, 0, 1}).unsqueeze(1);
  const Tensor y = torch::conv2d(x.permute({0, 3, 1, 2}), oihw, {}, stride, kernel / 2, 1, groups);
  return y.permute({0, 2, 3, 1});
}

class FunctionsTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }
};

TEST_F(FunctionsTest, Depthwise) {
  struct Shape {
    int64_t height, width, in, out, kernel, stride;
  };
  for (const Shape& s :
       {Shape{5, 6, 3, 3, 3, 1}, Shape{7, 5, 40, 40, 3, 2}, Shape{6, 9, 8, 8, 7, 1},
        Shape{8, 8, 16, 48, 7, 2}, Shape{9, 7, 5, 10, 3, 1}, Shape{1, 1, 33, 33, 7, 1},
        Shape{2, 3, 9, 18, 7, 2}}) {
    SCOPED_TRACE(::testing::Message() << s.height << "x" << s.width << " " << s.in << "->" << s.out
                                      << " k" << s.kernel << " s" << s.stride);
    Check([&](const auto& in) { return Depthwise(in[0], in[1], s.stride); },
          [&](const auto& in) { return ReferenceDepthwise(in[0], in[1], s.stride); },
          {RandomTensor({2, s.height, s.width, s.in}), RandomTensor({s.kernel, s.kernel, s.out})});
  }
}

TEST_F(FunctionsTest, StemPatchesMakeAConvolution) {
  for (const auto& [height, width] : {std::pair{8, 6}, std::pair{7, 5}}) {
    const Tensor x = torch::rand({2, height, width, 3}), weight = torch::randn({27, 4});
    const Tensor y = torch::matmul(StemPatches(x), weight);
    const Tensor oihw = weight.view({3, 3, 3, 4}).permute({3, 2, 0, 1});
    const Tensor expected =
        torch::conv2d(x.permute({0, 3, 1, 2}), oihw, {}, 2, 1).permute({0, 2, 3, 1});
    ASSERT_EQ(y.sizes(), expected.sizes());
    EXPECT_LE(Largest(y - expected), 1e-5 * Largest(expected));
  }
}

TEST_F(FunctionsTest, LinearInBf16IsCloseAndF32) {
  const Tensor x = RandomTensor({9, 64}), weight = RandomTensor({16, 64}).requires_grad_(true);
  const Tensor bias = RandomTensor({16});
  const Tensor y = Linear(x, weight, bias);
  Tensor rounded;
  {
    const Bf16Products guard(true);
    rounded = Linear(x, weight, bias);
  }
  EXPECT_EQ(rounded.scalar_type(), torch::kFloat);
  EXPECT_FALSE(rounded.equal(y));
  EXPECT_LE(Largest(rounded - y), 0.03 * Largest(y));
  const auto gradient = torch::autograd::grad({rounded.sum()}, {weight})[0];
  EXPECT_EQ(gradient.scalar_type(), torch::kFloat);
  EXPECT_LE(Largest(gradient - x.sum(0)), 0.03 * Largest(x.sum(0)));
  EXPECT_TRUE(Linear(x, weight, bias).equal(y));
}

TEST_F(FunctionsTest, Gelu) {
  Check([](const auto& in) { return Gelu(in[0]); },
        [](const auto& in) { return torch::gelu(in[0]); }, {RandomTensor({3, 37}) * 3});
}

TEST_F(FunctionsTest, GeluFarFromZero) {
  const Tensor x = torch::tensor({-100.0f, -12.0f, 0.0f, 12.0f, 100.0f});
  const Tensor y = Gelu(x);
  const Tensor expected = torch::tensor({0.0f, 0.0f, 0.0f, 12.0f, 100.0f});
  EXPECT_LE(Largest(y - expected), 1e-6);
}

TEST_F(FunctionsTest, SiluMul) {
  Check([](const auto& in) { return SiluMul(in[0], in[1]); },
        [](const auto& in) { return torch::silu(in[0]) * in[1]; },
        {RandomTensor({5, 19}) * 3, RandomTensor({5, 19})});
}

TEST_F(FunctionsTest, BatchNorm) {
  for (const bool gelu : {false, true}) {
    Moments moments;
    const Tensor x = RandomTensor({4, 5, 3, 11}) * 2 + 1;
    Check([&](const auto& in) { return BatchNorm(in[0], in[1], in[2], 1e-5, gelu, &moments); },
          [&](const auto& in) {
            const Tensor flat = in[0].reshape({-1, 11});
            const Tensor mean = flat.mean(0), variance = flat.var(0, false);
            const Tensor y = (in[0] - mean) / (variance + 1e-5).sqrt() * in[1] + in[2];
            return gelu ? torch::gelu(y) : y;
          },
          {x, RandomTensor({11}), RandomTensor({11})});
  }
}

TEST_F(FunctionsTest, BatchNormLeavesItsMoments) {
  Moments moments;
  const Tensor x = RandomTensor({300, 6}) * 3 + 5;
  BatchNorm(x, torch::ones({6}), torch::zeros({6}), 1e-5, false, &moments);
  EXPECT_LE(Largest(moments.mean - x.mean(0)), 1e-4);
  EXPECT_LE(Largest(moments.variance - x.var(0, false)), 1e-3);
}

TEST_F(FunctionsTest, RmsNorm) {
  for (const int64_t width : {5, 16, 37}) {
    Check([](const auto& in) { return RmsNorm(in[0], in[1], 1e-6); },
          [](const auto& in) {
            return in[0] * (in[0].square().mean(-1, true) + 1e-6).rsqrt() * in[1];
          },
          {RandomTensor({4, width}), RandomTensor({width})});
  }
}

Tensor ReferenceAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& segments) {
  const int64_t group = q.size(2) / k.size(2), tokens = q.size(1);
  const Tensor keys = k.repeat_interleave(group, 2), values = v.repeat_interleave(group, 2);
  Tensor scores = torch::einsum("bthd,bshd->bhts", {q, keys}) / std::sqrt(double(q.size(3)));
  if (segments.defined()) {
    const Tensor row = segments.unsqueeze(2), column = segments.unsqueeze(1);
    const Tensor earlier = torch::ones({tokens, tokens}, torch::kBool).tril();
    const Tensor seen = (column.eq(0) | column.eq(row)) & earlier;
    scores = scores.masked_fill(seen.logical_not().unsqueeze(1), -1e30);
  }
  return torch::einsum("bhts,bshd->bthd", {scores.softmax(-1), values});
}

TEST_F(FunctionsTest, AttentionOfAll) {
  Check([](const auto& in) { return Attention(in[0], in[1], in[2], Tensor()); },
        [](const auto& in) { return ReferenceAttention(in[0], in[1], in[2], Tensor()); },
        {RandomTensor({2, 9, 4, 8}), RandomTensor({2, 9, 4, 8}), RandomTensor({2, 9, 4, 8})});
}

TEST_F(FunctionsTest, AttentionOfTurnsWithSharedHeads) {
  const Tensor segments =
      torch::tensor({0, 0, 0, 1, 1, 2, 2, 2, 0, 0, 1, 1, 2, 2, -1, -1}, torch::kInt32).view({2, 8});
  Check([&](const auto& in) { return Attention(in[0], in[1], in[2], segments); },
        [&](const auto& in) { return ReferenceAttention(in[0], in[1], in[2], segments); },
        {RandomTensor({2, 8, 6, 4}), RandomTensor({2, 8, 2, 4}), RandomTensor({2, 8, 2, 4})});
}

TEST_F(FunctionsTest, TurnsDoNotSeeEachOther) {
  const Tensor segments = torch::tensor({0, 0, 1, 1, 2, 2}, torch::kInt32).view({1, 6});
  const Tensor q = RandomTensor({1, 6, 2, 4}), k = RandomTensor({1, 6, 2, 4});
  const Tensor v = RandomTensor({1, 6, 2, 4});
  Tensor other = v.clone();
  other.slice(1, 2, 4) += 10;
  const Tensor y = Attention(q, k, v, segments), changed = Attention(q, k, other, segments);
  EXPECT_TRUE(y.slice(1, 4, 6).equal(changed.slice(1, 4, 6)));
  EXPECT_FALSE(y.slice(1, 2, 4).equal(changed.slice(1, 2, 4)));
}

TEST_F(FunctionsTest, Rope) {
  const Tensor angle = RandomTensor({2, 5, 3});
  const Tensor cos = angle.cos(), sin = angle.sin();
  Check([&](const auto& in) { return Rope(in[0], cos, sin); },
        [&](const auto& in) {
          const auto halves = in[0].chunk(2, -1);
          const Tensor c = cos.unsqueeze(2), s = sin.unsqueeze(2);
          return torch::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
        },
        {RandomTensor({2, 5, 4, 6})});
}

}  // namespace
}  // namespace fastvlm::train
