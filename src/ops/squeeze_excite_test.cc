#include "ops/squeeze_excite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

Buffer<float> RandomBuffer(int64_t size, float magnitude, TestRandom& random) {
  Buffer<float> buffer(static_cast<size_t>(size));
  random.Fill(buffer.data(), buffer.size(), -magnitude, magnitude);
  return buffer;
}

SqueezeExciteWeights RandomWeights(int64_t channels, int64_t reduced, TestRandom& random) {
  SqueezeExciteWeights weights;
  weights.channels = channels;
  weights.reduced = reduced;
  // Magnitudes that keep the sums of the two layers near 1, so that neither activation saturates.
  const float reduce = 2 / std::sqrt(static_cast<float>(channels));
  const float expand = 4 / std::sqrt(static_cast<float>(reduced));
  weights.reduce_weight = RandomBuffer(channels * reduced, reduce, random);
  weights.reduce_bias = RandomBuffer(reduced, 0.5f, random);
  weights.expand_weight = RandomBuffer(channels * reduced, expand, random);
  weights.expand_bias = RandomBuffer(channels, 0.5f, random);
  return weights;
}

std::vector<double> Linear(const Buffer<float>& weight, const Buffer<float>& bias,
                           const std::vector<double>& in) {
  std::vector<double> out(bias.size());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = bias[i];
    for (size_t j = 0; j < in.size(); ++j) out[i] += in[j] * weight[i * in.size() + j];
  }
  return out;
}

std::vector<double> Reference(const SqueezeExciteWeights& w, const float* x, int64_t pixels) {
  const size_t channels = static_cast<size_t>(w.channels);
  std::vector<double> mean(channels, 0.0);
  std::vector<double> y(x, x + static_cast<size_t>(pixels) * channels);
  for (size_t i = 0; i < y.size(); ++i) mean[i % channels] += y[i] / static_cast<double>(pixels);
  std::vector<double> hidden = Linear(w.reduce_weight, w.reduce_bias, mean);
  for (double& value : hidden) value = std::max(value, 0.0);
  const std::vector<double> logits = Linear(w.expand_weight, w.expand_bias, hidden);
  for (size_t i = 0; i < y.size(); ++i) {
    const double v = y[i] / (1 + std::exp(-logits[i % channels]));
    y[i] = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
  }
  return y;
}

TEST(SqueezeExcite, MatchesDoubleWithEveryThreadCount) {
  TestRandom random;
  struct MapShape {
    int64_t pixels, channels, reduced;
  };
  for (const MapShape& s : {MapShape{1, 1, 1},
                            {256, 3072, 192},
                            {12, 48, 3},
                            {49, 523, 33},
                            {4, 16, 1},
                            {300, 8, 50}}) {
    const SqueezeExciteWeights weights = RandomWeights(s.channels, s.reduced, random);
    const size_t size = static_cast<size_t>(s.pixels * s.channels);
    GuardedBuffer<float> x(size);
    random.Fill(x.data(), size, -2, 4);
    const std::vector<double> expected = Reference(weights, x.data(), s.pixels);
    GuardedBuffer<float> first(size);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(size);
      GuardedBuffer<float> scratch(SqueezeExciteScratchSize(weights));
      std::memcpy(y.data(), x.data(), size * sizeof(float));
      SqueezeExciteGelu(weights, y.data(), s.pixels, scratch.data(), pool);
      if (threads == 1) std::memcpy(first.data(), y.data(), size * sizeof(float));
      ASSERT_EQ(std::memcmp(first.data(), y.data(), size * sizeof(float)), 0)
          << threads << " threads";
    }
    // Relative errors of the two layers' sums (a few units in the seventh digit) move the scale by
    // less than 4e-6; x is at most 4.
    for (size_t i = 0; i < size; ++i) {
      ASSERT_NEAR(first[i], expected[i], 2e-5)
          << s.pixels << "x" << s.channels << ", element " << i;
    }
  }
}

}  // namespace
}  // namespace fastvlm
