// Sprites of the art, changed a little and ready to be drawn.
#ifndef FASTVLM_TRAIN_SCENE_SPRITE_H_
#define FASTVLM_TRAIN_SCENE_SPRITE_H_

#include "train/art/art.h"
#include "train/scene/raster.h"

namespace fastvlm::train {

// A sprite cut to its visible part; center and half sizes are the raster's.
struct Sprite {
  Raster<4> raster;
  float center_x = 0, center_y = 0;
  float half_width = 0, half_height = 0;
};

// How much one concept may be changed without becoming another.
struct Freedom {
  bool flip = true;        // mirrored: not what has letters or a side
  float max_angle = 0.2f;  // radians
  bool recolor = true;     // hue and saturation: not what is named after its colour
};
Freedom FreedomOf(const Concept& thing);

// Which styles a picture is drawn from.
enum class StyleKind {
  kTraining,  // all but those held out
  kUsual,     // of those, what is not for training only
  kHeldOut
};
inline StyleKind StyleKindOf(bool held_out, bool augment) {
  return held_out ? StyleKind::kHeldOut : augment ? StyleKind::kTraining : StyleKind::kUsual;
}

// Draws a concept that has a sprite of the wanted kind, and such a style; `except` holds concept
// indices not wanted. There must be one.
struct Choice {
  int concept_index = 0, style = 0;
};
Choice DrawChoice(const Art& art, StyleKind kind, const std::vector<int>& except, Random& random);
// Whether the art has at least `count` concepts of that kind.
bool HasConcepts(const Art& art, StyleKind kind, int count);

// The sprite at about the resolution that a drawing of `size` pixels needs. With `augment`, colours
// jitter and now and then there is an outline, few colours or little saturation.
Sprite PrepareSprite(const Art& art, Choice choice, float size, bool augment, Random& random);

// Width and height, in raster pixels, of the upright box around the visible part turned by `angle`.
struct Extent {
  float width = 0, height = 0;
};
Extent ExtentOf(const Sprite& sprite, float angle);

// The pose that brings the middle of the sprite's visible part to (x, y).
Pose PoseSprite(const Sprite& sprite, float x, float y, float scale, float angle, bool flip);

// Whether the sprite can be told from a background of that colour.
bool Contrasts(const Sprite& sprite, const Rgb& ground);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_SPRITE_H_
