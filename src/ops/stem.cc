#include "ops/stem.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/depthwise_f32/depthwise_f32.h"
#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm {
namespace {

// Rows of y in one unit. They need twice as many rows of the map between the convolutions, and one
// more above, which the unit before computes as well.
constexpr int64_t kStemUnitRows = 8;

int64_t Half(int64_t side) { return (side + 1) / 2; }

// The most rows of the map between the convolutions that a unit needs.
int64_t BandRows(int64_t height) { return std::min(2 * kStemUnitRows + 1, Half(height)); }

int64_t BandFloats(int64_t channels, int64_t height, int64_t width) {
  return BandRows(height) * Half(width) * channels;
}

}  // namespace

size_t StemScratchFloats(const StemConvWeights& conv, int64_t height, int64_t width, int threads) {
  return static_cast<size_t>(threads * BandFloats(conv.out_channels, height, width));
}

void Stem(const StemConvWeights& conv, const DepthwiseWeights& depthwise, const float* x,
          int64_t height, int64_t width, float* y, float* scratch, ThreadPool& pool) {
  const int64_t channels = conv.out_channels;
  FASTVLM_CHECK(channels >= 1 && height >= 1 && width >= 1);
  FASTVLM_CHECK(static_cast<int64_t>(conv.weight.size()) == 27 * channels);
  FASTVLM_CHECK(static_cast<int64_t>(conv.bias.size()) == channels);
  FASTVLM_CHECK(depthwise.kernel == 3 && depthwise.stride == 2);
  FASTVLM_CHECK(depthwise.in_channels == channels && depthwise.out_channels == channels);
  const int64_t middle_height = Half(height), middle_width = Half(width);
  const int64_t out_height = Half(middle_height), out_width = Half(middle_width);

  const double middle = static_cast<double>(middle_height * middle_width * channels);
  const double outputs = static_cast<double>(out_height * out_width * channels);
  const double inputs = static_cast<double>(3 * height * width);
  const ProfileScope scope(pool.profile(), "stem",
                           {54 * middle + 18 * outputs, 0, 4 * (inputs + outputs)});
  StemConvF32Block dense;
  dense.x = x;
  dense.height = height;
  dense.width = width;
  dense.weight = conv.weight.data();
  dense.bias = conv.bias.data();
  dense.channels = channels;

  DepthwiseF32Block wide;
  wide.kernel = depthwise.kernel;
  wide.stride = depthwise.stride;
  wide.multiplier = 1;
  wide.gelu = true;
  wide.height = middle_height;
  wide.width = middle_width;
  wide.x_row_stride = middle_width * channels;
  wide.x_pixel_stride = channels;
  wide.weight = depthwise.weight.data();
  wide.weight_tap_stride = channels;
  wide.bias = depthwise.bias.data();
  wide.y = y;
  wide.y_row_stride = out_width * channels;
  wide.y_pixel_stride = channels;
  wide.channels = channels;

  const StemConvF32Fn convolve = BestStemConvF32().fn;
  const DepthwiseF32Fn convolve_depthwise = BestDepthwiseF32().fn;
  const int64_t band_floats = BandFloats(channels, height, width);
  pool.ParallelFor((out_height + kStemUnitRows - 1) / kStemUnitRows, [&](int64_t unit, int thread) {
    DepthwiseF32Block second = wide;
    second.row_begin = unit * kStemUnitRows;
    second.row_end = std::min(second.row_begin + kStemUnitRows, out_height);
    StemConvF32Block first = dense;
    first.row_begin = std::max<int64_t>(0, 2 * second.row_begin - 1);
    first.row_end = std::min(2 * second.row_end, middle_height);
    // Both count rows of the whole map between, of which only the band exists.
    first.y = scratch + thread * band_floats - first.row_begin * wide.x_row_stride;
    second.x = first.y;
    convolve(first);
    convolve_depthwise(second);
  });
}

}  // namespace fastvlm
