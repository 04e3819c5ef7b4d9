#include "ops/stem_conv.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/stem_conv_f32/stem_conv_f32.h"

namespace fastvlm {
namespace {

constexpr int64_t kBlockRows = 4;

}  // namespace

void StemConv(const StemConvWeights& weights, const float* x, int64_t height, int64_t width,
              float* y, ThreadPool& pool) {
  const int64_t channels = weights.out_channels;
  FASTVLM_CHECK(channels >= 1 && height >= 1 && width >= 1);
  FASTVLM_CHECK(static_cast<int64_t>(weights.weight.size()) == 27 * channels);
  FASTVLM_CHECK(static_cast<int64_t>(weights.bias.size()) == channels);
  const int64_t out_height = (height + 1) / 2;

  const double outputs = static_cast<double>(out_height * ((width + 1) / 2) * channels);
  const double inputs = static_cast<double>(3 * height * width);
  const ProfileScope scope(pool.profile(), "stem conv", {54 * outputs, 0, 4 * (inputs + outputs)});
  StemConvF32Block whole;
  whole.x = x;
  whole.height = height;
  whole.width = width;
  whole.weight = weights.weight.data();
  whole.bias = weights.bias.data();
  whole.y = y;
  whole.channels = channels;

  const StemConvF32Fn convolve = BestStemConvF32().fn;
  const int64_t blocks = (out_height + kBlockRows - 1) / kBlockRows;
  pool.ParallelFor(blocks, [&](int64_t task, int /*thread*/) {
    StemConvF32Block block = whole;
    block.row_begin = task * kBlockRows;
    block.row_end = std::min(block.row_begin + kBlockRows, out_height);
    convolve(block);
  });
}

}  // namespace fastvlm
