#include "train/scene/raster.h"

#include <algorithm>
#include <cmath>

namespace fastvlm::train {
namespace {

// Bilinear sample; (u, v) in raster pixels, -1 < u < width + 0, with pixel centres at integers.
template <int kChannels>
inline void AddSample(const Raster<kChannels>& raster, float u, float v, float* sum) {
  const int column = static_cast<int>(u + 1) - 1;  // u + 1 > 0, so this is the floor
  const int row = static_cast<int>(v + 1) - 1;
  const float fu = u - static_cast<float>(column), fv = v - static_cast<float>(row);
  const float* top = raster.At(row, column);
  const float* bottom = top + static_cast<ptrdiff_t>(raster.width + 2) * kChannels;
  const float w00 = (1 - fu) * (1 - fv), w01 = fu * (1 - fv), w10 = (1 - fu) * fv, w11 = fu * fv;
  for (int c = 0; c < kChannels; ++c) {
    sum[c] +=
        w00 * top[c] + w01 * top[c + kChannels] + w10 * bottom[c] + w11 * bottom[c + kChannels];
  }
}

inline void Blend(const float (&sample)[4], const Rgb&, float* out) {
  for (int c = 0; c < 3; ++c) out[c] = out[c] * (1 - sample[3]) + sample[c];
}
inline void Blend(const float (&sample)[1], const Rgb& tint, float* out) {
  out[0] += (tint.r - out[0]) * sample[0];
  out[1] += (tint.g - out[1]) * sample[0];
  out[2] += (tint.b - out[2]) * sample[0];
}

// From canvas to raster: u = du_dx * x + du_dy * y + u0.
struct Inverse {
  float du_dx, du_dy, u0, dv_dx, dv_dy, v0;
};

Inverse Invert(const Pose& pose) {
  const float c = Cosine(pose.angle) / pose.scale, s = Sine(pose.angle) / pose.scale;
  const float mirror = pose.flip ? -1.0f : 1.0f;
  Inverse i{c * mirror, s * mirror, 0, -s, c, 0};
  // Pixel centres are at halves on the canvas and at integers in samples.
  const float x = pose.x - 0.5f, y = pose.y - 0.5f;
  i.u0 = pose.anchor_x - 0.5f - i.du_dx * x - i.du_dy * y;
  i.v0 = pose.anchor_y - 0.5f - i.dv_dx * x - i.dv_dy * y;
  return i;
}

struct PixelBox {
  int x0, y0, x1, y1;
};

// The canvas pixels that the raster can touch.
template <int kChannels>
PixelBox Reach(const Raster<kChannels>& raster, const Pose& pose, const Canvas& canvas) {
  const float c = Cosine(pose.angle) * pose.scale, s = Sine(pose.angle) * pose.scale;
  const float mirror = pose.flip ? -1.0f : 1.0f;
  float low_x = 1e9f, low_y = 1e9f, high_x = -1e9f, high_y = -1e9f;
  for (int corner = 0; corner < 4; ++corner) {
    const float w = static_cast<float>(corner & 1 ? raster.width + 1 : -1);
    const float h = static_cast<float>(corner & 2 ? raster.height + 1 : -1);
    const float u = (w - pose.anchor_x) * mirror, v = h - pose.anchor_y;
    const float x = pose.x + c * u - s * v, y = pose.y + s * u + c * v;
    low_x = std::min(low_x, x), high_x = std::max(high_x, x);
    low_y = std::min(low_y, y), high_y = std::max(high_y, y);
  }
  auto bound = [](float value, int size) {
    return static_cast<int>(std::clamp(value, 0.0f, static_cast<float>(size)));
  };
  return {bound(std::floor(low_x), canvas.width), bound(std::floor(low_y), canvas.height),
          bound(std::ceil(high_x), canvas.width), bound(std::ceil(high_y), canvas.height)};
}

template <int kChannels>
void DrawSampled(const Raster<kChannels>& raster, const Pose& pose, const Rgb& tint, Canvas& canvas,
                 const CellGrid* grid, Coverage* coverage) {
  const Inverse inverse = Invert(pose);
  const PixelBox box = Reach(raster, pose, canvas);
  const float max_u = static_cast<float>(raster.width), max_v = static_cast<float>(raster.height);
  for (int y = box.y0; y < box.y1; ++y) {
    float* out = canvas.Row(y) + box.x0 * 3;
    float* cells = nullptr;
    int cell_column = 0, left = 0;  // pixels left in this cell
    if (coverage) {
      cells = coverage->data() + ((y + grid->offset_y) / grid->cell) * grid->columns;
      cell_column = (box.x0 + grid->offset_x) / grid->cell;
      left = (cell_column + 1) * grid->cell - box.x0 - grid->offset_x;
    }
    float covered = 0;
    for (int x = box.x0; x < box.x1; ++x, out += 3) {
      float sample[kChannels] = {};
      const float px = static_cast<float>(x), py = static_cast<float>(y);
      const float u = inverse.du_dx * px + inverse.du_dy * py + inverse.u0;
      const float v = inverse.dv_dx * px + inverse.dv_dy * py + inverse.v0;
      if (u > -1 && v > -1 && u < max_u && v < max_v) AddSample(raster, u, v, sample);
      if (sample[kChannels - 1] > 0) {
        Blend(sample, tint, out);
        covered += sample[kChannels - 1];
      }
      if (cells && --left == 0) {
        cells[cell_column++] += covered;
        covered = 0;
        left = grid->cell;
      }
    }
    if (cells && covered > 0) cells[cell_column] += covered;
  }
}

}  // namespace

template <int kChannels>
Raster<kChannels> Halved(const Raster<kChannels>& in) {
  Raster<kChannels> out((in.height + 1) / 2, (in.width + 1) / 2);
  const ptrdiff_t below = static_cast<ptrdiff_t>(in.width + 2) * kChannels;
  for (int y = 0; y < out.height; ++y) {
    const float* from = in.At(2 * y, 0);
    float* to = out.At(y, 0);
    for (int x = 0; x < out.width; ++x, from += 2 * kChannels, to += kChannels) {
      for (int c = 0; c < kChannels; ++c) {
        to[c] =
            0.25f * (from[c] + from[c + kChannels] + from[c + below] + from[c + kChannels + below]);
      }
    }
  }
  return out;
}

template <int kChannels>
void Draw(const Raster<kChannels>& raster, Pose pose, const Rgb& tint, Canvas& canvas,
          const CellGrid* grid, Coverage* coverage) {
  // A bilinear sample averages about two pixels: from 1/sqrt(2) on nothing is skipped, and below
  // that the halved raster is hardly stretched.
  if (pose.scale >= 0.7071f || raster.width < 2 || raster.height < 2) {
    return DrawSampled(raster, pose, tint, canvas, grid, coverage);
  }
  pose.scale *= 2;
  pose.anchor_x /= 2;
  pose.anchor_y /= 2;
  Draw(Halved(raster), pose, tint, canvas, grid, coverage);
}

template Raster<1> Halved(const Raster<1>& in);
template Raster<4> Halved(const Raster<4>& in);
template void Draw(const Raster<1>&, Pose, const Rgb&, Canvas&, const CellGrid*, Coverage*);
template void Draw(const Raster<4>&, Pose, const Rgb&, Canvas&, const CellGrid*, Coverage*);

}  // namespace fastvlm::train
