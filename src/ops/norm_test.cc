#include "ops/norm.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/layer_norm/layer_norm.h"
#include "kernels/rms_norm/rms_norm.h"
#include "support/guarded_buffer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

// Rows that make one unit, several, and a last one that is shorter.
constexpr int64_t kTokens[] = {0, 1, 17, 301};
constexpr int64_t kChannels = 768;

TEST(Norm, LayerNormIsTheKernelOnAnyThreads) {
  TestRandom random;
  for (int64_t tokens : kTokens) {
    const size_t size = static_cast<size_t>(tokens * kChannels);
    std::vector<float> gain(kChannels), bias(kChannels), x(size), expected(size);
    random.Fill(gain.data(), kChannels, -2, 2);
    random.Fill(bias.data(), kChannels, -2, 2);
    random.Fill(x.data(), size, -3, 3);
    BestLayerNorm().fn(x.data(), tokens, kChannels, gain.data(), bias.data(), 1e-5f,
                       expected.data());
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(size);
      LayerNorm(x.data(), tokens, kChannels, gain.data(), bias.data(), 1e-5f, y.data(), pool);
      EXPECT_EQ(std::vector<float>(y.data(), y.data() + size), expected) << threads << " threads";
    }
  }
}

TEST(Norm, RmsNormIsTheKernelOnAnyThreads) {
  TestRandom random;
  for (int64_t tokens : kTokens) {
    const size_t size = static_cast<size_t>(tokens * kChannels);
    std::vector<float> gain(kChannels), x(size), expected(size);
    random.Fill(gain.data(), kChannels, -2, 2);
    random.Fill(x.data(), size, -3, 3);
    BestRmsNorm().fn(x.data(), tokens, kChannels, gain.data(), 1e-6f, expected.data());
    for (int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      GuardedBuffer<float> y(size);
      RmsNorm(x.data(), tokens, kChannels, gain.data(), 1e-6f, y.data(), pool);
      EXPECT_EQ(std::vector<float>(y.data(), y.data() + size), expected) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace fastvlm
