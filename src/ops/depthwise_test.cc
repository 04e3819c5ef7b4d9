#include "ops/depthwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

DepthwiseWeights RandomWeights(int kernel, int stride, int64_t in_channels, int multiplier,
                               TestRandom& random) {
  DepthwiseWeights weights;
  weights.kernel = kernel;
  weights.stride = stride;
  weights.in_channels = in_channels;
  weights.out_channels = in_channels * multiplier;
  weights.weight = Buffer<float>(static_cast<size_t>(kernel * kernel * weights.out_channels));
  weights.bias = Buffer<float>(static_cast<size_t>(weights.out_channels));
  random.Fill(weights.weight.data(), weights.weight.size(), -1, 1);
  random.Fill(weights.bias.data(), weights.bias.size(), -1, 1);
  return weights;
}

// The sums of the convolution, in double, and the sums of magnitudes: every input element is added
// to the outputs it reaches.
void Reference(const DepthwiseWeights& w, const float* x, int64_t height, int64_t width,
               std::vector<double>& sum, std::vector<double>& magnitude) {
  const int64_t multiplier = w.out_channels / w.in_channels;
  const int64_t out_height = (height + w.stride - 1) / w.stride;
  const int64_t out_width = (width + w.stride - 1) / w.stride;
  sum.resize(static_cast<size_t>(out_height * out_width * w.out_channels));
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = w.bias[i % w.bias.size()];
  magnitude = sum;
  for (double& value : magnitude) value = std::abs(value);
  const int64_t taps = int64_t{w.kernel} * w.kernel;
  for (int64_t i = 0; i < height * width; ++i) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t row = i / width + w.kernel / 2 - tap / w.kernel;
      const int64_t column = i % width + w.kernel / 2 - tap % w.kernel;
      if (row < 0 || column < 0 || row % w.stride != 0 || column % w.stride != 0) continue;
      if (row / w.stride >= out_height || column / w.stride >= out_width) continue;
      const int64_t pixel = row / w.stride * out_width + column / w.stride;
      for (int64_t o = 0; o < w.out_channels; ++o) {
        const double product = double{x[i * w.in_channels + o / multiplier]} *
                               w.weight[static_cast<size_t>(tap * w.out_channels + o)];
        sum[static_cast<size_t>(pixel * w.out_channels + o)] += product;
        magnitude[static_cast<size_t>(pixel * w.out_channels + o)] += std::abs(product);
      }
    }
  }
}

struct Shape {
  int kernel, stride, multiplier;
  int64_t height, width, in_channels;
};

// More rows and channels than one block has, and sizes that do not divide into blocks.
constexpr Shape kShapes[] = {
    {3, 1, 1, 1, 1, 1},   {3, 1, 1, 37, 19, 96},  {7, 1, 1, 33, 20, 100}, {3, 2, 1, 75, 41, 16},
    {7, 2, 2, 70, 17, 9}, {7, 2, 2, 40, 16, 192}, {3, 1, 2, 16, 16, 131}, {7, 1, 1, 16, 16, 384},
    {7, 1, 1, 5, 64, 8},  {3, 2, 1, 64, 64, 1},   {7, 2, 2, 7, 3, 24},    {7, 1, 1, 2, 300, 24},
    {3, 1, 1, 200, 2, 3}, {7, 1, 2, 21, 34, 17},  {7, 2, 3, 24, 24, 16},  {3, 1, 4, 9, 13, 5}};

TEST(Depthwise, MatchesDoubleWithEveryThreadCount) {
  TestRandom random;
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(::testing::Message()
                 << "kernel " << s.kernel << " stride " << s.stride << ", " << s.height << "x"
                 << s.width << "x" << s.in_channels << " x" << s.multiplier);
    const DepthwiseWeights weights =
        RandomWeights(s.kernel, s.stride, s.in_channels, s.multiplier, random);
    GuardedBuffer<float> x(static_cast<size_t>(s.height * s.width * s.in_channels));
    random.Fill(x.data(), x.size(), -2, 2);
    std::vector<double> sum, magnitude;
    Reference(weights, x.data(), s.height, s.width, sum, magnitude);
    for (auto activation : {DepthwiseActivation::kNone, DepthwiseActivation::kGelu}) {
      const bool gelu = activation == DepthwiseActivation::kGelu;
      GuardedBuffer<float> first(sum.size());
      for (int threads : {1, 2, 3, 7}) {
        ThreadPool pool(threads);
        GuardedBuffer<float> y(sum.size());
        Depthwise(weights, x.data(), s.height, s.width, y.data(), activation, pool);
        if (threads == 1) {
          std::memcpy(first.data(), y.data(), y.size() * sizeof(float));
          continue;
        }
        ASSERT_EQ(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)), 0)
            << threads << " threads";
      }
      for (size_t i = 0; i < sum.size(); ++i) {
        double expected = sum[i];
        double tolerance = std::ldexp(1.0, -24) * (s.kernel * s.kernel + 1) * magnitude[i];
        if (gelu) {
          expected *= 0.5 * (1 + std::erf(sum[i] / std::sqrt(2.0)));
          tolerance = 1.13 * tolerance + 1e-6 * (1 + std::abs(sum[i]));
        }
        ASSERT_NEAR(first[i], expected, tolerance) << "element " << i;
      }
    }
  }
}

}  // namespace
}  // namespace fastvlm
