// Small images with transparency, and how they are put on a canvas: moved, turned, scaled.
#ifndef FASTVLM_TRAIN_SCENE_RASTER_H_
#define FASTVLM_TRAIN_SCENE_RASTER_H_

#include <vector>

#include "train/scene/canvas.h"

namespace fastvlm::train {

// [height, width, kChannels] floats 0..1 with a border of one transparent pixel all around, so that
// samples between the last pixel and the outside need no test. Four channels: premultiplied RGBA;
// one: coverage.
template <int kChannels>
struct Raster {
  Raster() = default;
  Raster(int height_, int width_)
      : height(height_),
        width(width_),
        data(static_cast<size_t>(height_ + 2) * (width_ + 2) * kChannels) {}
  float* At(int y, int x) {
    return data.data() + (static_cast<ptrdiff_t>(y + 1) * (width + 2) + x + 1) * kChannels;
  }
  const float* At(int y, int x) const {
    return data.data() + (static_cast<ptrdiff_t>(y + 1) * (width + 2) + x + 1) * kChannels;
  }

  int height = 0, width = 0;
  std::vector<float> data;
};

// Half the size, each pixel the mean of four.
template <int kChannels>
Raster<kChannels> Halved(const Raster<kChannels>& in);

// Where a raster goes: the source point (anchor_x, anchor_y), in pixels of the raster, comes to
// (x, y), in pixels of the canvas.
struct Pose {
  float x = 0, y = 0;
  float anchor_x = 0, anchor_y = 0;
  float scale = 1;  // canvas pixels per raster pixel
  float angle = 0;  // radians, clockwise on the screen
  bool flip = false;
};

// Which cells of the token grid a drawing covers. The canvas may lie inside a larger picture.
struct CellGrid {
  CellGrid(int rows_, int columns_, int cell_, int offset_y_, int offset_x_)
      : rows(rows_), columns(columns_), cell(cell_), offset_y(offset_y_), offset_x(offset_x_) {}
  int rows, columns, cell;
  int offset_y, offset_x;  // of the canvas's first pixel
};
using Coverage = std::vector<float>;  // [rows * columns], pixels

// Draws the raster over the canvas; `tint` colours a one-channel raster. Shrinks without aliasing.
// Adds to `coverage` (may be null with `grid`) the opacity that falls into each cell.
template <int kChannels>
void Draw(const Raster<kChannels>& raster, Pose pose, const Rgb& tint, Canvas& canvas,
          const CellGrid* grid, Coverage* coverage);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_RASTER_H_
