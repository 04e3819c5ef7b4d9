// The colours that backgrounds and letters have, by names that people agree on.
#ifndef FASTVLM_TRAIN_SCENE_COLOR_H_
#define FASTVLM_TRAIN_SCENE_COLOR_H_

#include <span>
#include <string>

#include "train/scene/random.h"

namespace fastvlm::train {

struct Rgb {
  float r = 0, g = 0, b = 0;  // 0..1, as stored in files (sRGB)
};

// A named colour: a box of hue (degrees, may pass 360), saturation and value.
struct NamedColor {
  const char* name;
  float hue_low, hue_high;
  float saturation_low, saturation_high;
  float value_low, value_high;
};

// Any two boxes keep a distance that leaves no doubt about the name.
std::span<const NamedColor> NamedColors();

Rgb FromHsv(float hue_degrees, float saturation, float value);

// A colour of that name.
Rgb DrawColor(const NamedColor& color, Random& random);
// A colour of the same name that differs visibly: from the other half of the box.
Rgb DrawSecondColor(const NamedColor& color, const Rgb& first, Random& random);

float Luma(const Rgb& color);
float Distance(const Rgb& a, const Rgb& b);  // 0..sqrt(3), Euclidean

// A colour for letters or plates on `ground`: its luma differs by at least 0.35.
Rgb DrawContrast(const Rgb& ground, Random& random);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_COLOR_H_
