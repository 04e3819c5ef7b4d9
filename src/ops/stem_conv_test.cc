#include "ops/stem_conv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

StemConvWeights RandomWeights(int64_t channels, TestRandom& random) {
  StemConvWeights weights;
  weights.out_channels = channels;
  weights.weight = Buffer<float>(static_cast<size_t>(27 * channels));
  weights.bias = Buffer<float>(static_cast<size_t>(channels));
  random.Fill(weights.weight.data(), weights.weight.size(), -1, 1);
  random.Fill(weights.bias.data(), weights.bias.size(), -1, 1);
  return weights;
}

// One output in double before the activation, and the sum of the magnitudes of its terms.
struct Sum {
  double value, magnitude;
};
Sum Reference(const StemConvWeights& w, const float* x, int64_t height, int64_t width, int64_t row,
              int64_t column, int64_t o) {
  double sum = w.bias[static_cast<size_t>(o)];
  double magnitude = std::abs(sum);
  for (int64_t r = std::max<int64_t>(0, 2 * row - 1); r < std::min(height, 2 * row + 2); ++r) {
    for (int64_t c = std::max<int64_t>(0, 2 * column - 1); c < std::min(width, 2 * column + 2);
         ++c) {
      for (int64_t ci = 0; ci < 3; ++ci) {
        const int64_t tap = (r - 2 * row + 1) * 3 + c - 2 * column + 1;
        const double product = double{x[(r * width + c) * 3 + ci]} *
                               w.weight[static_cast<size_t>((tap * 3 + ci) * w.out_channels + o)];
        sum += product;
        magnitude += std::abs(product);
      }
    }
  }
  return {sum, magnitude};
}

TEST(StemConv, MatchesDoubleWithEveryThreadCount) {
  TestRandom random;
  struct Shape {
    int64_t height, width, channels;
  };
  for (const Shape& s : {Shape{1, 1, 1}, {64, 64, 96}, {33, 47, 24}, {128, 6, 8}, {5, 130, 17}}) {
    const StemConvWeights weights = RandomWeights(s.channels, random);
    GuardedBuffer<float> x(static_cast<size_t>(s.height * s.width * 3));
    random.Fill(x.data(), x.size(), 0, 1);
    const int64_t out_height = (s.height + 1) / 2, out_width = (s.width + 1) / 2;
    const size_t size = static_cast<size_t>(out_height * out_width * s.channels);
    GuardedBuffer<float> first(size);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(size);
      StemConv(weights, x.data(), s.height, s.width, y.data(), pool);
      if (threads == 1) std::memcpy(first.data(), y.data(), size * sizeof(float));
      ASSERT_EQ(std::memcmp(first.data(), y.data(), size * sizeof(float)), 0)
          << threads << " threads";
    }
    for (size_t i = 0; i < size; ++i) {
      const int64_t pixel = static_cast<int64_t>(i) / s.channels;
      const Sum sum = Reference(weights, x.data(), s.height, s.width, pixel / out_width,
                                pixel % out_width, static_cast<int64_t>(i) % s.channels);
      const double expected = 0.5 * sum.value * (1 + std::erf(sum.value / std::sqrt(2.0)));
      ASSERT_NEAR(
          first[i], expected,
          1.13 * 28 * std::ldexp(1.0, -24) * sum.magnitude + 1e-6 * (1 + std::abs(sum.value)))
          << s.height << "x" << s.width << "x" << s.channels << ", element " << i;
    }
  }
}

}  // namespace
}  // namespace fastvlm
