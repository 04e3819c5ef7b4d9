#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"

namespace fastvlm {
namespace {

constexpr int kPrecision = 22;
constexpr int32_t kHalf = 1 << (kPrecision - 1);
// A weight is split into high * 2^11 + low so that both halves fit 16 bits: a product of 16-bit
// integers summed into 32 bits is one instruction for eight taps on every x86-64.
constexpr int kSplitBits = 11;
constexpr int kTapGroup = 8;
constexpr int kRowsPerTask = 32;

double KeysCubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

// For each wanted output of one axis: the image pixels it is made of and their integer weights.
// Black canvas pixels take part in the normalisation and are then left out.
struct AxisWeights {
  int taps = 0;                  // most pixels of one output, at least 1
  std::vector<int> begin;        // [count] first image pixel
  std::vector<int> size;         // [count] pixels; 0 where only canvas is seen
  std::vector<int32_t> weights;  // [count, taps], zero beyond size
};

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
      const double weight = window[static_cast<size_t>(x - low)] * inverse_sum * (1 << kPrecision);
      *weights++ = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    result.begin[i] = static_cast<int>(begin - axis.offset);
    result.size[i] = static_cast<int>(end - begin);
  }
  return result;
}

uint8_t Clip(int64_t sum) {
  return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kPrecision, 0, 255));
}

// The horizontal pass of single rows.
class RowFilter {
 public:
  RowFilter(int width, const ResizeAxis& axis) : width_(width), axis_(ComputeWeights(width, axis)) {
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

  int count() const { return static_cast<int>(axis_.begin.size()); }
  size_t scratch_size() const { return 3 * plane_; }

  // row: [width, 3]; scratch: [scratch_size()] and out: [count, 3], both zero before their first
  // use.
  void Apply(const uint8_t* row, int16_t* scratch, uint8_t* out) const {
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

 private:
  // No sum overflows: |low| <= |weight| and the weights' magnitudes add up to less than 2^23, and
  // |2^11 high| <= 2 |weight|.
  static uint8_t Dot(const int16_t* pixels, const int16_t* high, const int16_t* low, int groups) {
    int32_t high_sum = 0;
    int32_t low_sum = 0;
    for (int t = 0; t < groups * kTapGroup; ++t) {
      high_sum += pixels[t] * high[t];
      low_sum += pixels[t] * low[t];
    }
    return Clip(int64_t{high_sum} * (1 << kSplitBits) + low_sum + kHalf);
  }

  int width_;
  AxisWeights axis_;
  int groups_ = 0;
  size_t plane_ = 0;
  std::vector<int16_t> high_;  // [count, groups * kTapGroup]
  std::vector<int16_t> low_;
};

// Memory of one thread.
struct Scratch {
  std::vector<int16_t> planes;
  std::vector<uint8_t> row;   // [width of the result, 3], after the horizontal pass
  std::vector<int32_t> sums;  // [kRowsPerTask, width of the result, 3]
};

void AddRow(const uint8_t* row, int32_t weight, size_t size, int32_t* sums) {
  for (size_t i = 0; i < size; ++i) sums[i] += weight * row[i];
}

// Result rows [first, last): every image row they need is filtered once and added to the sums of
// the rows it belongs to. Integer sums, so the order does not matter.
void ResizeRows(const Image& image, const RowFilter& filter, const AxisWeights& vertical, int first,
                int last, Scratch& scratch, Image* result) {
  const size_t row_size = static_cast<size_t>(filter.count()) * 3;
  scratch.sums.assign(row_size * static_cast<size_t>(last - first), kHalf);
  int begin = image.height;
  int end = 0;
  for (int y = first; y < last; ++y) {
    if (vertical.size[y] == 0) continue;
    begin = std::min(begin, vertical.begin[y]);
    end = std::max(end, vertical.begin[y] + vertical.size[y]);
  }
  for (int source = begin; source < end; ++source) {
    filter.Apply(&image.pixels[static_cast<size_t>(source) * image.width * 3],
                 scratch.planes.data(), scratch.row.data());
    for (int y = first; y < last; ++y) {
      const int tap = source - vertical.begin[y];
      if (tap < 0 || tap >= vertical.size[y]) continue;
      AddRow(scratch.row.data(), vertical.weights[static_cast<size_t>(y) * vertical.taps + tap],
             row_size, &scratch.sums[static_cast<size_t>(y - first) * row_size]);
    }
  }
  uint8_t* out = &result->pixels[static_cast<size_t>(first) * row_size];
  for (size_t i = 0; i < scratch.sums.size(); ++i) {
    out[i] = static_cast<uint8_t>(std::clamp(scratch.sums[i] >> kPrecision, 0, 255));
  }
}

}  // namespace

Image ResizeBicubic(const Image& image, const ResizeAxis& horizontal, const ResizeAxis& vertical,
                    ThreadPool* pool) {
  FASTVLM_CHECK(image.width > 0 && image.height > 0);
  // Pillow skips a pass that keeps the size; there the weights are a single 2^22, the same pixels.
  const RowFilter filter(image.width, horizontal);
  const AxisWeights columns = ComputeWeights(image.height, vertical);
  Image result;
  result.width = horizontal.count;
  result.height = vertical.count;
  result.pixels.resize(static_cast<size_t>(result.width) * result.height * 3);

  std::vector<Scratch> scratch(static_cast<size_t>(pool == nullptr ? 1 : pool->threads()));
  for (Scratch& one : scratch) {
    one.planes.resize(filter.scratch_size());
    one.row.resize(static_cast<size_t>(result.width) * 3);
  }
  const auto task = [&](int64_t index, int thread) {
    const int first = static_cast<int>(index) * kRowsPerTask;
    ResizeRows(image, filter, columns, first, std::min(first + kRowsPerTask, result.height),
               scratch[static_cast<size_t>(thread)], &result);
  };
  const int64_t tasks = (result.height + kRowsPerTask - 1) / kRowsPerTask;
  if (pool != nullptr) {
    pool->ParallelFor(tasks, task);
  } else {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
  }
  return result;
}

}  // namespace fastvlm
