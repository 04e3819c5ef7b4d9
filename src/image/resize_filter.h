// The weights and the two kinds of sums of Pillow's resize, which resize.cc uses on a whole picture
// and row_resizer.cc on one that comes row by row.
#ifndef FASTVLM_IMAGE_RESIZE_FILTER_H_
#define FASTVLM_IMAGE_RESIZE_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "image/resize.h"

namespace fastvlm {

inline constexpr int kResizePrecision = 22;  // bits behind the point of a weight
inline constexpr int32_t kResizeHalf = 1 << (kResizePrecision - 1);

// For each wanted output of one axis: the image pixels it is made of and their integer weights.
// Black canvas pixels take part in the normalisation and are then left out.
struct AxisWeights {
  int taps = 0;                  // most pixels of one output, at least 1
  std::vector<int> begin;        // [count] first image pixel
  std::vector<int> size;         // [count] pixels; 0 where only canvas is seen
  std::vector<int32_t> weights;  // [count, taps], zero beyond size
};

AxisWeights ComputeWeights(int source, const ResizeAxis& axis);

// The horizontal pass of single rows.
class RowFilter {
 public:
  RowFilter(int width, const ResizeAxis& axis);

  int count() const { return static_cast<int>(axis_.begin.size()); }
  size_t scratch_size() const { return 3 * plane_; }

  // row: [width, 3]; scratch: [scratch_size()] and out: [count, 3], both zero before their first
  // use.
  void Apply(const uint8_t* row, int16_t* scratch, uint8_t* out) const;

 private:
  int width_;
  AxisWeights axis_;
  int groups_ = 0;
  size_t plane_ = 0;
  std::vector<int16_t> high_;  // [count, groups * kTapGroup]
  std::vector<int16_t> low_;
};

// sums[i] += weight * row[i]. The sums of one output begin at kResizeHalf and do not overflow.
void AddWeighted(const uint8_t* row, int32_t weight, size_t size, int32_t* sums);

// The 8-bit values of finished sums.
void SumsToLevels(std::span<const int32_t> sums, uint8_t* levels);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_RESIZE_FILTER_H_
