#include "ops/depthwise.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "kernels/depthwise_f32/depthwise_f32.h"

namespace fastvlm {
namespace {

// A unit is kBlockChannels channels of up to kMaxBlockRows rows. It has fewer rows where there
// would be too few units for the threads, although each unit reads rows above and below its own
// again.
constexpr int64_t kBlockChannels = 96;
constexpr int64_t kMinBlockRows = 8;
constexpr int64_t kMaxBlockRows = 32;
constexpr int64_t kUnitsPerThread = 4;

void CheckWeights(const DepthwiseWeights& weights) {
  FASTVLM_CHECK(weights.kernel == 3 || weights.kernel == 7);
  FASTVLM_CHECK(weights.stride == 1 || weights.stride == 2);
  FASTVLM_CHECK(weights.in_channels >= 1);
  FASTVLM_CHECK(weights.out_channels % weights.in_channels == 0);
  const int64_t taps = int64_t{weights.kernel} * weights.kernel;
  FASTVLM_CHECK(static_cast<int64_t>(weights.weight.size()) == taps * weights.out_channels);
  FASTVLM_CHECK(static_cast<int64_t>(weights.bias.size()) == weights.out_channels);
}

std::string_view ProfileName(const DepthwiseWeights& weights) {
  if (weights.kernel == 3) return weights.stride == 1 ? "depthwise 3x3" : "depthwise 3x3 /2";
  return weights.stride == 1 ? "depthwise 7x7" : "depthwise 7x7 /2";
}

Buffer<float> RepeatChannels(const float* x, int64_t count, int multiplier) {
  Buffer<float> repeated(static_cast<size_t>(count * multiplier));
  float* next = repeated.data();
  for (int64_t i = 0; i < count; ++i) {
    for (int copy = 0; copy < multiplier; ++copy) *next++ = x[i];
  }
  return repeated;
}

}  // namespace

void Depthwise(const DepthwiseWeights& weights, const float* x, int64_t height, int64_t width,
               float* y, DepthwiseActivation activation, ThreadPool& pool) {
  CheckWeights(weights);
  FASTVLM_CHECK(height >= 1 && width >= 1);
  const int64_t channels = weights.out_channels;
  const int64_t out_height = (height + weights.stride - 1) / weights.stride;
  const int64_t out_width = (width + weights.stride - 1) / weights.stride;
  const int64_t channel_blocks = (channels + kBlockChannels - 1) / kBlockChannels;
  const int64_t block_rows =
      std::clamp(out_height * channel_blocks / (kUnitsPerThread * pool.threads()), kMinBlockRows,
                 kMaxBlockRows);
  const int64_t row_blocks = (out_height + block_rows - 1) / block_rows;

  const double inputs = static_cast<double>(height * width * weights.in_channels);
  const double outputs = static_cast<double>(out_height * out_width * channels);
  const ProfileScope scope(
      pool.profile(), ProfileName(weights),
      {2.0 * weights.kernel * weights.kernel * outputs, 0, 4 * (inputs + outputs)});
  DepthwiseF32Block whole;
  whole.kernel = weights.kernel;
  whole.stride = weights.stride;
  whole.multiplier = static_cast<int>(channels / weights.in_channels);
  whole.gelu = activation == DepthwiseActivation::kGelu;
  whole.x = x;
  whole.height = height;
  whole.width = width;
  whole.x_row_stride = width * weights.in_channels;
  whole.x_pixel_stride = weights.in_channels;
  whole.weight = weights.weight.data();
  whole.weight_tap_stride = channels;
  whole.bias = weights.bias.data();
  whole.y = y;
  whole.y_row_stride = out_width * channels;
  whole.y_pixel_stride = channels;

  // The kernels take one or two outputs for each input channel, as all published models have. A
  // small test model may have more: then each input channel is copied as often as it is read.
  Buffer<float> repeated;
  if (whole.multiplier > 2) {
    repeated = RepeatChannels(x, height * width * weights.in_channels, whole.multiplier);
    whole.x = repeated.data();
    whole.x_row_stride = width * channels;
    whole.x_pixel_stride = channels;
    whole.multiplier = 1;
  }

  const DepthwiseF32Fn convolve = BestDepthwiseF32().fn;
  pool.ParallelFor(row_blocks * channel_blocks, [&](int64_t unit, int /*thread*/) {
    const int64_t channel = unit % channel_blocks * kBlockChannels;
    DepthwiseF32Block block = whole;
    block.x += channel / block.multiplier;
    block.weight += channel;
    block.bias += channel;
    block.y += channel;
    block.channels = std::min(kBlockChannels, channels - channel);
    block.row_begin = unit / channel_blocks * block_rows;
    block.row_end = std::min(block.row_begin + block_rows, out_height);
    convolve(block);
  });
}

}  // namespace fastvlm
