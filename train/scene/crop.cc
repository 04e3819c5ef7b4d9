#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "train/scene/lettering.h"
#include "train/scene/scene.h"
#include "train/scene/sprite.h"
#include "train/scene/words.h"

namespace fastvlm::train {
namespace {

// Draws every character equally often, which words would not do.
std::string DrawCropText(Random& random) {
  constexpr char kCharacters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::string text;
  do {
    text.clear();
    for (int left = random.From(1, 3); left > 0; --left) {
      text += kCharacters[random.Below(static_cast<int>(sizeof(kCharacters)) - 1)];
    }
  } while (IsUnclear(text));
  return text;
}

// `size` pixels for the longer side of what is seen.
Pose Sized(const Sprite& sprite, float x, float y, float size, float angle, bool flip) {
  const Extent extent = ExtentOf(sprite, angle);
  return PoseSprite(sprite, x, y, size / std::max(extent.width, extent.height), angle, flip);
}

// Parts of other things that look in from the border.
void DrawFragments(const Art& art, StyleKind styles, bool augment, const Crop& crop, float side,
                   Canvas& canvas, Random& random) {
  const int count = random.From(1, 2);
  for (int i = 0; i < count; ++i) {
    const Choice choice = DrawChoice(art, styles, {crop.concept_index}, random);
    const float size = random.Between(0.4f, 0.9f) * side;
    const Sprite sprite = PrepareSprite(art, choice, size, augment, random);
    // The centre lies outside, so that less than half is seen, and not much of it.
    const float along = random.Uniform() * side;
    const float out = random.Between(0.32f, 0.45f) * size;
    const bool far = random.Chance(0.5), upright = random.Chance(0.5);
    const float across = far ? side + out : -out;
    Draw(sprite.raster,
         Sized(sprite, upright ? along : across, upright ? across : along, size,
               random.Between(-0.3f, 0.3f), random.Chance(0.5)),
         {}, canvas, nullptr, nullptr);
  }
}

void DrawThing(const Art& art, StyleKind styles, bool augment, float side, Crop& crop,
               Canvas& canvas, Random& random) {
  const Choice choice = DrawChoice(art, styles, {}, random);
  crop.concept_index = choice.concept_index;
  const Freedom freedom = FreedomOf(art.concepts()[static_cast<size_t>(choice.concept_index)]);
  const float size = random.Between(0.6f, 1.1f) * side;
  const Sprite sprite = PrepareSprite(art, choice, size, augment, random);
  Rgb ground;
  for (int i = 0; i < 6; ++i) {
    const auto colors = NamedColors();
    const NamedColor& color =
        colors[static_cast<size_t>(random.Below(static_cast<int>(colors.size())))];
    ground = DrawColor(color, random);
    if (!Contrasts(sprite, ground) && i < 5) continue;
    PaintBackground(color, !augment && random.Chance(0.5), canvas, random);
    break;
  }
  if (random.Chance(0.25)) {
    DrawFragments(art, styles, augment, crop, side, canvas, random);
  }
  // Larger ones hang over the border a little; smaller ones lie anywhere inside.
  const float slack = std::abs(side - size) / 2 + 0.03f * side;
  const float x = side / 2 + random.Between(-slack, slack);
  const float y = side / 2 + random.Between(-slack, slack);
  const float angle = augment ? random.Between(-1.5f, 1.5f) * freedom.max_angle : 0;
  Draw(sprite.raster,
       Sized(sprite, x, y, size, angle, augment && freedom.flip && random.Chance(0.5)), {}, canvas,
       nullptr, nullptr);
}

void DrawCharacters(const Art& art, float side, Crop& crop, Canvas& canvas, Random& random) {
  const auto colors = NamedColors();
  const Rgb ground =
      PaintBackground(colors[static_cast<size_t>(random.Below(static_cast<int>(colors.size())))],
                      false, canvas, random);
  crop.characters = DrawCropText(random);
  const Line line = SetLine(art, DrawFont(art, false, random), crop.characters,
                            random.Between(0, 0.12f) * kGlyphEm);
  const float widest = random.Between(0.6f, 0.96f) * side;
  const float highest = random.Between(0.35f, 0.9f) * side;
  const float height = std::min(highest, widest * line.cap_height / line.ink_width);
  const float width = height * line.ink_width / line.cap_height;
  const float slack_x = std::max(0.0f, (side - width) / 2 - 1);
  const float slack_y = std::max(0.0f, (side - height) / 2 - 1);
  const float x = side / 2 + random.Between(-slack_x, slack_x);
  const float y = side / 2 + random.Between(-slack_y, slack_y);
  const float angle = random.Chance(0.5) ? random.Between(-0.12f, 0.12f) : 0;
  Rgb under = ground;
  if (random.Chance(0.25)) {
    under = DrawContrast(ground, random);
    DrawPlate(x, y, width * 1.15f + 0.1f * height, height * 1.4f, angle, under, canvas);
  }
  DrawLine(art, line, x, y, height, angle, DrawContrast(under, random), canvas, nullptr, nullptr,
           nullptr);
}

}  // namespace

Crop MakeCrop(const Art& art, int side, double text_share, bool held_out_style, bool augment,
              uint64_t seed) {
  FASTVLM_CHECK(side > 0);
  Random random(seed);
  Crop crop;
  Canvas canvas(side, side);
  if (random.Chance(text_share)) {
    DrawCharacters(art, static_cast<float>(side), crop, canvas, random);
  } else {
    DrawThing(art, StyleKindOf(held_out_style, augment), augment, static_cast<float>(side), crop,
              canvas, random);
  }
  if (augment) Weather(canvas, random);
  crop.rgb.resize(canvas.pixels.size());
  StoreBytes(canvas, crop.rgb.data(), side * 3);
  return crop;
}

}  // namespace fastvlm::train
