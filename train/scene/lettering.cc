#include "train/scene/lettering.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace fastvlm::train {
namespace {

Raster<1> GlyphRaster(const Glyph& glyph) {
  Raster<1> raster(glyph.height, glyph.width);
  for (int y = 0; y < glyph.height; ++y) {
    const uint8_t* from = glyph.alpha + static_cast<ptrdiff_t>(y) * glyph.width;
    float* to = raster.At(y, 0);
    for (int x = 0; x < glyph.width; ++x) to[x] = static_cast<float>(from[x]) * (1 / 255.0f);
  }
  return raster;
}

}  // namespace

int DrawFont(const Art& art, bool held_out, Random& random) {
  int found = -1, seen = 0;
  for (size_t i = 0; i < art.fonts().size(); ++i) {
    if (art.fonts()[i].held_out != held_out) continue;
    if (random.Below(++seen) == 0) found = static_cast<int>(i);
  }
  FASTVLM_CHECK(found >= 0);
  return found;
}

bool HasFont(const Art& art, bool held_out) {
  return std::any_of(art.fonts().begin(), art.fonts().end(),
                     [&](const Font& font) { return font.held_out == held_out; });
}

Line SetLine(const Art& art, int font, std::string text, float spacing) {
  Line line;
  line.text = std::move(text);
  line.font = font;
  line.spacing = spacing;
  const Glyph* capital = art.FindGlyph(font, 'H');
  line.cap_height = capital ? static_cast<float>(capital->top) : 0.7f * kGlyphEm;
  float pen = 0, left = 1e9f, right = -1e9f;
  for (char character : line.text) {
    const Glyph* glyph = art.FindGlyph(font, character);
    if (!glyph) continue;
    left = std::min(left, pen + static_cast<float>(glyph->left));
    right = std::max(right, pen + static_cast<float>(glyph->left + glyph->width));
    pen += glyph->advance + spacing;
  }
  line.ink_left = left;
  line.ink_width = std::max(right - left, 1.0f);
  return line;
}

void DrawLine(const Art& art, const Line& line, float x, float y, float height, float angle,
              const Rgb& color, Canvas& canvas, const CellGrid* grid,
              std::vector<Coverage>* coverage, std::vector<Spot>* centers) {
  const float scale = height / line.cap_height;
  const float c = Cosine(angle) * scale, s = Sine(angle) * scale;
  const float middle_x = line.ink_left + line.ink_width / 2;
  float pen = 0;
  for (size_t i = 0; i < line.text.size(); ++i) {
    const Glyph* glyph = art.FindGlyph(line.font, line.text[i]);
    if (!glyph) continue;
    Pose pose;
    pose.anchor_x = static_cast<float>(glyph->width) / 2;
    pose.anchor_y = static_cast<float>(glyph->height) / 2;
    // The centre of the glyph, from the centre of the line, in font pixels.
    const float u = pen + static_cast<float>(glyph->left) + pose.anchor_x - middle_x;
    const float v = line.cap_height / 2 - static_cast<float>(glyph->top) + pose.anchor_y;
    pose.x = x + c * u - s * v;
    pose.y = y + s * u + c * v;
    pose.scale = scale;
    pose.angle = angle;
    if (glyph->width > 0 && glyph->height > 0) {
      Draw(GlyphRaster(*glyph), pose, color, canvas, grid, coverage ? &(*coverage)[i] : nullptr);
    }
    if (centers) (*centers)[i] = {pose.x, pose.y};
    pen += glyph->advance + line.spacing;
  }
}

void DrawPlate(float x, float y, float width, float height, float angle, const Rgb& color,
               Canvas& canvas) {
  // One opaque pixel would be bilinear mush; a raster of a fixed size scaled down has clean edges.
  const float longer = std::max(width, height);
  const float scale = std::max(1.0f, longer / 96.0f);
  const int columns = std::max(2, static_cast<int>(width / scale));
  const int rows = std::max(2, static_cast<int>(height / scale));
  Raster<1> plate(rows, columns);
  const float radius = static_cast<float>(std::min(rows, columns)) * 0.2f;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const float u = static_cast<float>(column) + 0.5f, v = static_cast<float>(row) + 0.5f;
      const float dx = std::max({radius - u, u - static_cast<float>(columns) + radius, 0.0f});
      const float dy = std::max({radius - v, v - static_cast<float>(rows) + radius, 0.0f});
      *plate.At(row, column) = dx * dx + dy * dy <= radius * radius ? 1.0f : 0.0f;
    }
  }
  Pose pose;
  pose.x = x;
  pose.y = y;
  pose.anchor_x = static_cast<float>(columns) / 2;
  pose.anchor_y = static_cast<float>(rows) / 2;
  pose.scale = scale;
  pose.angle = angle;
  Draw(plate, pose, color, canvas, nullptr, nullptr);
}

}  // namespace fastvlm::train
