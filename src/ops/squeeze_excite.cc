#include "ops/squeeze_excite.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/squeeze_excite/squeeze_excite.h"

namespace fastvlm {
namespace {

constexpr int64_t kMeanChannels = 256;
constexpr int64_t kBlockRows = 48;
constexpr int64_t kBlockPixels = 8;

// out = act(weight in + bias), rows of weight over the threads.
void Excite(const Buffer<float>& weight, const Buffer<float>& bias, const float* in,
            SqueezeExciteActivation activation, float* out, ThreadPool& pool) {
  const int64_t rows = static_cast<int64_t>(bias.size());
  const int64_t columns = static_cast<int64_t>(weight.size()) / rows;
  const ExciteRowsFn excite_rows = BestSqueezeExcite().excite_rows;
  pool.ParallelFor((rows + kBlockRows - 1) / kBlockRows, [&](int64_t unit, int /*thread*/) {
    const int64_t row = unit * kBlockRows;
    excite_rows(weight.data() + row * columns, bias.data() + row, in,
                std::min(kBlockRows, rows - row), columns, activation, out + row);
  });
}

}  // namespace

size_t SqueezeExciteScratchSize(const SqueezeExciteWeights& weights) {
  return static_cast<size_t>(weights.channels + weights.reduced);
}

void SqueezeExciteGelu(const SqueezeExciteWeights& weights, float* x, int64_t pixels,
                       float* scratch, ThreadPool& pool) {
  const int64_t channels = weights.channels;
  FASTVLM_CHECK(channels >= 1 && weights.reduced >= 1 && pixels >= 1);
  const size_t weight_size = static_cast<size_t>(channels * weights.reduced);
  FASTVLM_CHECK(weights.reduce_weight.size() == weight_size);
  FASTVLM_CHECK(weights.expand_weight.size() == weight_size);
  FASTVLM_CHECK(static_cast<int64_t>(weights.reduce_bias.size()) == weights.reduced);
  FASTVLM_CHECK(static_cast<int64_t>(weights.expand_bias.size()) == channels);

  const double map = static_cast<double>(pixels * channels);
  const ProfileScope scope(pool.profile(), "squeeze excite",
                           {3 * map + 4 * static_cast<double>(weight_size), 0,
                            12 * map + 8 * static_cast<double>(weight_size)});
  float* mean = scratch;  // later the scale
  float* reduced = scratch + channels;
  const SqueezeExciteVariant& kernel = BestSqueezeExcite();
  const int64_t mean_blocks = (channels + kMeanChannels - 1) / kMeanChannels;
  pool.ParallelFor(mean_blocks, [&](int64_t unit, int /*thread*/) {
    const int64_t channel = unit * kMeanChannels;
    kernel.channel_mean(x + channel, pixels, std::min(kMeanChannels, channels - channel), channels,
                        mean + channel);
  });
  Excite(weights.reduce_weight, weights.reduce_bias, mean, SqueezeExciteActivation::kRelu, reduced,
         pool);
  Excite(weights.expand_weight, weights.expand_bias, reduced, SqueezeExciteActivation::kSigmoid,
         mean, pool);
  const int64_t pixel_blocks = (pixels + kBlockPixels - 1) / kBlockPixels;
  pool.ParallelFor(pixel_blocks, [&](int64_t unit, int /*thread*/) {
    const int64_t pixel = unit * kBlockPixels;
    kernel.scale_gelu(x + pixel * channels, std::min(kBlockPixels, pixels - pixel), channels,
                      channels, mean);
  });
}

}  // namespace fastvlm
