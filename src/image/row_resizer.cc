#include "image/row_resizer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace fastvlm {

RowResizer::RowResizer(int width, int height, int orientation, const ResizeAxis& horizontal,
                       const ResizeAxis& vertical)
    : width_(width),
      height_(height),
      transposed_(orientation >= 5),
      flip_columns_(orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8),
      flip_rows_(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7),
      along_(width, transposed_ ? vertical : horizontal),
      across_(ComputeWeights(height, transposed_ ? horizontal : vertical)) {
  FASTVLM_CHECK(orientation >= 1 && orientation <= 8);
  result_.width = horizontal.count;
  result_.height = vertical.count;
  // Windows of canvas alone stand before and behind the others, whose ends never decrease.
  const int count = static_cast<int>(across_.begin.size());
  while (first_ < count && across_.size[first_] == 0) ++first_;
  last_ = first_;
  while (last_ < count && across_.size[last_] > 0) ++last_;
  int open = first_;
  for (int i = first_; i < last_; ++i) {
    while (across_.begin[open] + across_.size[open] <= across_.begin[i]) ++open;
    overlap_ = std::max(overlap_, i - open + 1);
  }
}

size_t RowResizer::line_size() const {
  return static_cast<size_t>(transposed_ ? width_ : along_.count()) * 3;
}

int64_t RowResizer::held_bytes() const {
  const int64_t line = static_cast<int64_t>(line_size());
  return int64_t{3} * result_.width * result_.height + int64_t{4} * overlap_ * line +
         int64_t{2} * static_cast<int64_t>(along_.scratch_size()) + int64_t{9} * width_;
}

void RowResizer::Start() {
  result_.pixels.assign(static_cast<size_t>(result_.width) * result_.height * 3, 0);
  missing_ = across_.size;
  sums_.resize(across_.size.size());
  planes_.resize(along_.scratch_size());
  filtered_.resize(static_cast<size_t>(along_.count()) * 3);
  if (transposed_) levels_.resize(line_size());
  if (flip_columns_) flipped_.resize(static_cast<size_t>(width_) * 3);
}

void RowResizer::Add(int y, const uint8_t* row) {
  if (flip_rows_) y = height_ - 1 - y;
  const auto begins = across_.begin.begin();
  // The outputs whose window has begun at y, and of these the ones where it has not ended.
  int end = static_cast<int>(std::upper_bound(begins + first_, begins + last_, y) - begins);
  int begin = end;
  while (begin > first_ && across_.begin[begin - 1] + across_.size[begin - 1] > y) --begin;
  if (begin == end) return;
  if (flip_columns_) {
    for (int x = 0; x < width_; ++x) std::memcpy(&flipped_[3 * (width_ - 1 - x)], row + 3 * x, 3);
    row = flipped_.data();
  }
  if (!transposed_) {
    along_.Apply(row, planes_.data(), filtered_.data());
    row = filtered_.data();
  }
  for (int i = begin; i < end; ++i) {
    std::vector<int32_t>& sums = sums_[i];
    if (sums.empty()) {
      if (!spare_.empty()) {
        sums = std::move(spare_.back());
        spare_.pop_back();
      }
      sums.assign(line_size(), kResizeHalf);
    }
    const int32_t weight =
        across_.weights[static_cast<size_t>(i) * across_.taps + (y - across_.begin[i])];
    AddWeighted(row, weight, sums.size(), sums.data());
    if (--missing_[i] == 0) Emit(static_cast<size_t>(i));
  }
}

void RowResizer::Emit(size_t output) {
  const size_t width = static_cast<size_t>(result_.width);
  if (transposed_) {
    SumsToLevels(sums_[output], levels_.data());
    along_.Apply(levels_.data(), planes_.data(), filtered_.data());
    for (size_t y = 0; y < static_cast<size_t>(result_.height); ++y) {
      std::memcpy(&result_.pixels[(y * width + output) * 3], &filtered_[y * 3], 3);
    }
  } else {
    SumsToLevels(sums_[output], &result_.pixels[output * width * 3]);
  }
  spare_.push_back(std::exchange(sums_[output], {}));
}

}  // namespace fastvlm
