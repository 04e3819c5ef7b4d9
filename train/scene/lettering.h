// Letters and digits from the glyphs of a font, set in one line.
#ifndef FASTVLM_TRAIN_SCENE_LETTERING_H_
#define FASTVLM_TRAIN_SCENE_LETTERING_H_

#include <string>
#include <vector>

#include "train/art/art.h"
#include "train/scene/raster.h"

namespace fastvlm::train {

// A line of text, measured in font pixels (kGlyphEm per em). The box is of the ink.
struct Line {
  std::string text;
  int font = 0;
  float spacing = 0;  // added between characters
  float ink_left = 0, ink_width = 0;
  float cap_height = 0;  // of capitals: text stands between the baseline and this height
};

// A font of the wanted kind; there must be one.
int DrawFont(const Art& art, bool held_out, Random& random);
bool HasFont(const Art& art, bool held_out);

Line SetLine(const Art& art, int font, std::string text, float spacing);

// Draws the line centred on (x, y), capitals `height` pixels high, turned by `angle`; adds to
// coverage[i] what character i covers and puts its centre into centers[i] (both may be null).
struct Spot {
  float x = 0, y = 0;
};
void DrawLine(const Art& art, const Line& line, float x, float y, float height, float angle,
              const Rgb& color, Canvas& canvas, const CellGrid* grid,
              std::vector<Coverage>* coverage, std::vector<Spot>* centers);

// A filled rectangle with rounded corners, centred and turned: a plate for text.
void DrawPlate(float x, float y, float width, float height, float angle, const Rgb& color,
               Canvas& canvas);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_LETTERING_H_
