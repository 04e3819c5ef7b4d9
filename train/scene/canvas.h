// A picture being made: painted background, then things on top, then the faults of a camera.
#ifndef FASTVLM_TRAIN_SCENE_CANVAS_H_
#define FASTVLM_TRAIN_SCENE_CANVAS_H_

#include <cstdint>
#include <vector>

#include "train/scene/color.h"
#include "train/scene/random.h"

namespace fastvlm::train {

struct Canvas {
  Canvas(int height_, int width_)
      : height(height_), width(width_), pixels(static_cast<size_t>(height_) * width_ * 3) {}
  float* Row(int y) { return pixels.data() + static_cast<size_t>(y) * width * 3; }
  const float* Row(int y) const { return pixels.data() + static_cast<size_t>(y) * width * 3; }

  int height, width;
  std::vector<float> pixels;  // [height, width, 3], 0..1
};

// Fills the canvas with one of several patterns of two colours of the same name; `plain` leaves
// out the patterns. Returns the colour that stands for the whole.
Rgb PaintBackground(const NamedColor& color, bool plain, Canvas& canvas, Random& random);

// Sometimes a little blur, noise and contrast.
void Weather(Canvas& canvas, Random& random);

// Writes the canvas as bytes into a picture [.., stride / 3, 3] at rgb.
void StoreBytes(const Canvas& canvas, uint8_t* rgb, int stride);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_CANVAS_H_
