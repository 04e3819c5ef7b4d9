#include "train/scene/color.h"

#include <algorithm>
#include <cmath>

namespace fastvlm::train {
namespace {

constexpr NamedColor kColors[] = {
    {"red", 353, 364, 0.80f, 1.00f, 0.72f, 0.95f},
    {"orange", 24, 33, 0.82f, 1.00f, 0.93f, 1.00f},
    {"yellow", 51, 58, 0.65f, 1.00f, 0.93f, 1.00f},
    {"green", 105, 142, 0.55f, 0.90f, 0.60f, 0.80f},
    {"dark green", 110, 150, 0.60f, 1.00f, 0.22f, 0.36f},
    {"light blue", 194, 207, 0.28f, 0.48f, 0.93f, 1.00f},
    {"blue", 213, 230, 0.75f, 1.00f, 0.75f, 0.95f},
    {"dark blue", 218, 236, 0.70f, 1.00f, 0.26f, 0.42f},
    {"purple", 270, 287, 0.50f, 0.85f, 0.50f, 0.74f},
    {"pink", 326, 346, 0.26f, 0.48f, 0.95f, 1.00f},
    {"brown", 18, 28, 0.55f, 0.75f, 0.34f, 0.48f},
    {"gray", 0, 360, 0.00f, 0.05f, 0.44f, 0.62f},
    {"black", 0, 360, 0.00f, 0.10f, 0.00f, 0.09f},
    {"white", 0, 360, 0.00f, 0.02f, 0.95f, 1.00f},
};

}  // namespace

std::span<const NamedColor> NamedColors() { return kColors; }

Rgb FromHsv(float hue_degrees, float saturation, float value) {
  const float sector = hue_degrees / 60.0f;
  auto channel = [&](float shift) {
    float k = shift + sector;
    while (k >= 6) k -= 6;
    const float ramp = std::clamp(std::min(k, 4 - k), 0.0f, 1.0f);
    return value - value * saturation * ramp;
  };
  return {channel(5), channel(3), channel(1)};
}

Rgb DrawColor(const NamedColor& c, Random& random) {
  const float hue = random.Between(c.hue_low, c.hue_high);
  const float saturation = random.Between(c.saturation_low, c.saturation_high);
  return FromHsv(hue, saturation, random.Between(c.value_low, c.value_high));
}

Rgb DrawSecondColor(const NamedColor& c, const Rgb& first, Random& random) {
  Rgb best = first;
  for (int i = 0; i < 3; ++i) {
    const Rgb candidate = DrawColor(c, random);
    if (Distance(candidate, first) >= Distance(best, first)) best = candidate;
  }
  return best;
}

float Luma(const Rgb& c) { return 0.299f * c.r + 0.587f * c.g + 0.114f * c.b; }

float Distance(const Rgb& a, const Rgb& b) {
  const float r = a.r - b.r, g = a.g - b.g, blue = a.b - b.b;
  return std::sqrt(r * r + g * g + blue * blue);
}

Rgb DrawContrast(const Rgb& ground, Random& random) {
  const float luma = Luma(ground);
  for (int i = 0; i < 24; ++i) {
    const NamedColor& color = kColors[random.Below(static_cast<int>(std::size(kColors)))];
    const Rgb candidate = DrawColor(color, random);
    if (std::abs(Luma(candidate) - luma) >= 0.35f) return candidate;
  }
  return luma > 0.5f ? Rgb{0, 0, 0} : Rgb{1, 1, 1};
}

}  // namespace fastvlm::train
