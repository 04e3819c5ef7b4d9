#include "ops/stem.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

Buffer<float> RandomBuffer(int64_t count, TestRandom& random) {
  Buffer<float> buffer(static_cast<size_t>(count));
  random.Fill(buffer.data(), buffer.size(), -1, 1);
  return buffer;
}

double Gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

// [height, width, channels]
struct Map {
  Map(int64_t h, int64_t w, int64_t c)
      : height(h), width(w), channels(c), values(static_cast<size_t>(h * w * c)) {}
  double& At(int64_t r, int64_t q, int64_t c) {
    return values[static_cast<size_t>((r * width + q) * channels + c)];
  }
  int64_t height, width, channels;
  std::vector<double> values;
};

// Both convolutions in double, one after the other. `taps(tap, c, o)` is 0 where they do not meet.
template <typename WeightFn>
Map Convolve(Map& x, int64_t channels, const float* bias, const WeightFn& weight) {
  Map y((x.height + 1) / 2, (x.width + 1) / 2, channels);
  for (int64_t r = 0; r < y.height; ++r) {
    for (int64_t q = 0; q < y.width; ++q) {
      for (int64_t o = 0; o < channels; ++o) {
        double sum = bias[o];
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t row = 2 * r + tap / 3 - 1, column = 2 * q + tap % 3 - 1;
          if (row < 0 || row >= x.height || column < 0 || column >= x.width) continue;
          for (int64_t c = 0; c < x.channels; ++c) sum += x.At(row, column, c) * weight(tap, c, o);
        }
        y.At(r, q, o) = Gelu(sum);
      }
    }
  }
  return y;
}

TEST(Stem, MatchesDoubleWithEveryThreadCount) {
  TestRandom random;
  struct MapShape {
    int64_t height, width, channels;
  };
  for (const MapShape& s :
       {MapShape{1, 1, 1}, {64, 64, 96}, {33, 47, 24}, {128, 6, 8}, {5, 130, 17}, {66, 9, 3}}) {
    StemConvWeights conv;
    conv.out_channels = s.channels;
    conv.weight = RandomBuffer(27 * s.channels, random);
    conv.bias = RandomBuffer(s.channels, random);
    DepthwiseWeights depthwise;
    depthwise.kernel = 3;
    depthwise.stride = 2;
    depthwise.in_channels = depthwise.out_channels = s.channels;
    depthwise.weight = RandomBuffer(9 * s.channels, random);
    depthwise.bias = RandomBuffer(s.channels, random);
    GuardedBuffer<float> x(static_cast<size_t>(s.height * s.width * 3));
    random.Fill(x.data(), x.size(), 0, 1);

    Map image(s.height, s.width, 3);
    std::copy(x.data(), x.data() + x.size(), image.values.begin());
    Map middle =
        Convolve(image, s.channels, conv.bias.data(), [&](int64_t tap, int64_t c, int64_t o) {
          return conv.weight[static_cast<size_t>((tap * 3 + c) * s.channels + o)];
        });
    Map expected =
        Convolve(middle, s.channels, depthwise.bias.data(), [&](int64_t tap, int64_t c, int64_t o) {
          return c == o ? depthwise.weight[static_cast<size_t>(tap * s.channels + o)] : 0.0f;
        });

    const size_t size = expected.values.size();
    GuardedBuffer<float> first(size);
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(size);
      GuardedBuffer<float> scratch(StemScratchFloats(conv, s.height, s.width, threads));
      Stem(conv, depthwise, x.data(), s.height, s.width, y.data(), scratch.data(), pool);
      if (threads == 1) std::memcpy(first.data(), y.data(), size * sizeof(float));
      ASSERT_EQ(std::memcmp(first.data(), y.data(), size * sizeof(float)), 0) << threads;
    }
    // 27 products of at most 1 in magnitude, then 9 of sums of up to 28 of them.
    for (size_t i = 0; i < size; ++i) {
      ASSERT_NEAR(first[i], expected.values[i], 1e-4) << s.height << "x" << s.width << " at " << i;
    }
  }
}

}  // namespace
}  // namespace fastvlm
