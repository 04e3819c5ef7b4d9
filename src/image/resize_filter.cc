#include "image/resize_filter.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fastvlm {
namespace {

// A weight is split into high * 2^11 + low so that both halves fit 16 bits: a product of 16-bit
// integers summed into 32 bits is one instruction for eight taps on every x86-64.
constexpr int kSplitBits = 11;
constexpr int kTapGroup = 8;

double KeysCubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

uint8_t Clip(int64_t sum) {
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kResizePrecision, 0, 255));
}

// No sum overflows: |low| <= |weight| and the weights' magnitudes add up to less than 2^23, and
// |2^11 high| <= 2 |weight|.
uint8_t Dot(const int16_t* pixels, const int16_t* high, const int16_t* low, int groups) {
  int32_t high_sum = 0;
  int32_t low_sum = 0;
  for (int t = 0; t < groups * kTapGroup; ++t) {
    high_sum += pixels[t] * high[t];
    low_sum += pixels[t] * low[t];
  }
  return Clip(int64_t{high_sum} * (1 << kSplitBits) + low_sum + kResizeHalf);
}

}  // namespace

AxisWeights ComputeWeights(int source, const ResizeAxis& axis) {
  FASTVLM_CHECK(axis.offset >= 0 && source + axis.offset <= axis.canvas);
  FASTVLM_CHECK(axis.first >= 0 && axis.count > 0 && axis.first + axis.count <= axis.scaled);
  const double scale = static_cast<double>(axis.canvas) / static_cast<double>(axis.scaled);
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2.0 * filter_scale;
  const double inverse_scale = 1.0 / filter_scale;

  AxisWeights result;
  result.taps = static_cast<int>(std::min(2 * std::ceil(support) + 1, static_cast<double>(source)));
  result.begin.resize(static_cast<size_t>(axis.count));
  result.size.resize(static_cast<size_t>(axis.count));
  result.weights.resize(static_cast<size_t>(axis.count) * static_cast<size_t>(result.taps));
  std::vector<double> window;
  for (int i = 0; i < axis.count; ++i) {
    const double center = (static_cast<double>(axis.first + i) + 0.5) * scale;
    const int64_t low = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t high = std::min(static_cast<int64_t>(center + support + 0.5), axis.canvas);
    window.clear();
    double sum = 0.0;
    for (int64_t x = low; x < high; ++x) {
      window.push_back(KeysCubic((static_cast<double>(x) - center + 0.5) * inverse_scale));
      sum += window.back();
    }
    const int64_t begin = std::max(low, axis.offset);
    const int64_t end = std::min(high, axis.offset + source);
    if (begin >= end) continue;
    FASTVLM_CHECK(end - begin <= result.taps);
    const double inverse_sum = sum == 0.0 ? 1.0 : 1.0 / sum;
    int32_t* weights = &result.weights[static_cast<size_t>(i) * result.taps];
    for (int64_t x = begin; x < end; ++x) {
      const double weight =
          window[static_cast<size_t>(x - low)] * inverse_sum * (1 << kResizePrecision);
      *weights++ = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    result.begin[i] = static_cast<int>(begin - axis.offset);
    result.size[i] = static_cast<int>(end - begin);
  }
  return result;
}

RowFilter::RowFilter(int width, const ResizeAxis& axis)
    : width_(width), axis_(ComputeWeights(width, axis)) {
  groups_ = (axis_.taps + kTapGroup - 1) / kTapGroup;
  const size_t taps = static_cast<size_t>(groups_) * kTapGroup;
  plane_ = static_cast<size_t>(width) + taps;  // windows at the end may read the zeros behind it
  high_.resize(axis_.begin.size() * taps);
  low_.resize(axis_.begin.size() * taps);
  for (size_t i = 0; i < axis_.begin.size(); ++i) {
    for (size_t t = 0; t < static_cast<size_t>(axis_.taps); ++t) {
      const int32_t weight = axis_.weights[i * static_cast<size_t>(axis_.taps) + t];
      const int32_t high = (weight + (1 << (kSplitBits - 1))) >> kSplitBits;
      high_[i * taps + t] = static_cast<int16_t>(high);
      low_[i * taps + t] = static_cast<int16_t>(weight - high * (1 << kSplitBits));
    }
  }
  axis_.weights = {};
}

void RowFilter::Apply(const uint8_t* row, int16_t* scratch, uint8_t* out) const {
  int16_t* const planes[3] = {scratch, scratch + plane_, scratch + 2 * plane_};
  for (int x = 0; x < width_; ++x) {
    planes[0][x] = row[3 * x];
    planes[1][x] = row[3 * x + 1];
    planes[2][x] = row[3 * x + 2];
  }
  const int taps = groups_ * kTapGroup;
  for (int i = 0; i < count(); ++i) {
    const int16_t* high = &high_[static_cast<size_t>(i) * taps];
    const int16_t* low = &low_[static_cast<size_t>(i) * taps];
    if (axis_.size[i] == 0) {
      out += 3;  // only canvas: stays black
      continue;
    }
    for (const int16_t* plane : planes) *out++ = Dot(plane + axis_.begin[i], high, low, groups_);
  }
}

void AddWeighted(const uint8_t* row, int32_t weight, size_t size, int32_t* sums) {
  for (size_t i = 0; i < size; ++i) sums[i] += weight * row[i];
}

void SumsToLevels(std::span<const int32_t> sums, uint8_t* levels) {
  for (size_t i = 0; i < sums.size(); ++i) {
    levels[i] = static_cast<uint8_t>(std::clamp(sums[i] >> kResizePrecision, 0, 255));
  }
}

}  // namespace fastvlm
