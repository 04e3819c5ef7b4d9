// What a picture shows and where, decided and drawn.
#ifndef FASTVLM_TRAIN_SCENE_COMPOSE_H_
#define FASTVLM_TRAIN_SCENE_COMPOSE_H_

#include <string>
#include <vector>

#include "train/scene/grammar.h"
#include "train/scene/lettering.h"
#include "train/scene/scene.h"
#include "train/scene/sprite.h"

namespace fastvlm::train {

// One drawn object.
struct Item {
  int concept_index = -1;
  Place place = Place::kNone;  // kNone: no question asks where it is
  Coverage coverage;
  float x = 0, y = 0;  // centre, on the canvas
};

struct Composition {
  Layout layout = Layout::kSingle;  // never kAny
  std::vector<Item> items;          // kAlike: all of one concept
  const NamedColor* color = nullptr;
  std::string text;  // empty if there is none
  Place text_place = Place::kNone;
  std::vector<Coverage> characters;  // per character of text
  std::vector<Spot> centers;         // of the characters, on the canvas
  float text_height = 0;             // of capitals, pixels
};

// Draws a picture of `layout` on the canvas, which lies in the grid.
Composition Compose(const Art& art, const SceneOptions& options, Layout layout,
                    const CellGrid& grid, Canvas& canvas, Random& random);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_COMPOSE_H_
