// Pillow's resize of a picture that comes row by row and is never held whole.
#ifndef FASTVLM_IMAGE_ROW_RESIZER_H_
#define FASTVLM_IMAGE_ROW_RESIZER_H_

#include <cstdint>
#include <vector>

#include "image/image.h"
#include "image/resize.h"
#include "image/resize_filter.h"

namespace fastvlm {

// The result equals ResizeBicubic(ApplyOrientation(picture, orientation), horizontal, vertical) bit
// for bit. The passes are sums of integers, so that rows may come in any order. Where the
// orientation swaps the sides, the stored rows are the columns of what is shown: then the pass that
// comes first works down the rows and the second along them.
class RowResizer {
 public:
  // width x height as stored, orientation 1..8, the axes as shown.
  RowResizer(int width, int height, int orientation, const ResizeAxis& horizontal,
             const ResizeAxis& vertical);

  // The most that is held at once, with the result, in bytes. Little memory is taken before Start.
  int64_t held_bytes() const;
  void Start();  // throws std::bad_alloc
  // row: [width, 3]. Each row of the picture once.
  void Add(int y, const uint8_t* row);
  // After the last row.
  Image Take() { return std::move(result_); }

 private:
  size_t line_size() const;  // values of a row between the passes
  void Emit(size_t output);

  const int width_;
  const int height_;
  const bool transposed_;
  const bool flip_columns_;
  const bool flip_rows_;
  RowFilter along_;     // the pass along stored rows
  AxisWeights across_;  // the pass across them
  int first_ = 0;       // outputs of across_ that show a part of the picture
  int last_ = 0;
  int overlap_ = 0;  // most outputs that one row belongs to
  Image result_;
  std::vector<int> missing_;  // [count of across_] rows that have not come
  std::vector<std::vector<int32_t>>
      sums_;  // [count of across_][line_size()], empty where not begun
  std::vector<std::vector<int32_t>> spare_;
  std::vector<uint8_t> flipped_;
  std::vector<uint8_t> levels_;
  std::vector<uint8_t> filtered_;
  std::vector<int16_t> planes_;
};

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_ROW_RESIZER_H_
