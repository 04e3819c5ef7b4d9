#include "train/scene/sprite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/check.h"

namespace fastvlm::train {
namespace {

constexpr int kMargin = 8;  // room for an outline, in pixels of the full sprite

// Words and digits in the drawing, or a side that matters.
constexpr std::array<std::string_view, 32> kOneSided = {
    "stop sign",   "eight ball", "calendar",     "alarm clock",       "watch",    "ruler",
    "taxi",        "police car", "ambulance",    "fire truck",        "hospital", "floppy disk",
    "clock",       "keyboard",   "calculator",   "money bag",         "flag",     "race car",
    "thumbs down", "thumbs up",  "musical note", "american football", "computer", "laptop",
    "phone",       "bus",        "book",         "envelope",          "mailbox",  "die",
    "target",      "globe"};

constexpr std::array<std::string_view, 13> kColorWords = {
    "red",   "orange", "yellow", "green", "blue",        "purple", "pink",
    "brown", "black",  "white",  "gray",  "blueberries", "rainbow"};

bool HasWord(std::string_view name, std::string_view word) {
  for (size_t at = name.find(word); at != name.npos; at = name.find(word, at + 1)) {
    const bool starts = at == 0 || name[at - 1] == ' ';
    const bool ends = at + word.size() == name.size() || name[at + word.size()] == ' ';
    if (starts && ends) return true;
  }
  return false;
}

// The sprite with a margin, at full or half resolution.
Raster<4> Load(const uint8_t* pixels, bool half) {
  const int step = half ? 2 : 1;
  const int inner = kSpriteSide / step, margin = kMargin / step;
  Raster<4> out(inner + 2 * margin, inner + 2 * margin);
  for (int y = 0; y < inner; ++y) {
    float* to = out.At(y + margin, margin);
    const uint8_t* from = pixels + static_cast<ptrdiff_t>(y) * step * kSpriteSide * 4;
    if (half) {
      for (int x = 0; x < inner; ++x, from += 8, to += 4) {
        for (int c = 0; c < 4; ++c) {
          const int sum =
              from[c] + from[c + 4] + from[c + kSpriteSide * 4] + from[c + 4 + kSpriteSide * 4];
          to[c] = static_cast<float>(sum) * (1 / 1020.0f);
        }
      }
    } else {
      for (int i = 0; i < inner * 4; ++i) to[i] = static_cast<float>(from[i]) * (1 / 255.0f);
    }
  }
  return out;
}

// Colours times a 3x3 matrix, kept within the opacity.
void Transform(const std::array<float, 9>& m, Raster<4>& raster) {
  for (size_t i = 0; i < raster.data.size(); i += 4) {
    float* p = raster.data.data() + i;
    const float r = p[0], g = p[1], b = p[2], a = p[3];
    p[0] = std::clamp(m[0] * r + m[1] * g + m[2] * b, 0.0f, a);
    p[1] = std::clamp(m[3] * r + m[4] * g + m[5] * b, 0.0f, a);
    p[2] = std::clamp(m[6] * r + m[7] * g + m[8] * b, 0.0f, a);
  }
}

// Turns the hue about the gray axis (Rodrigues' formula), then mixes with the luma, then scales.
std::array<float, 9> ColorMatrix(float hue_angle, float saturation, float gain) {
  const float c = Cosine(hue_angle), s = Sine(hue_angle);
  const float third = (1 - c) / 3, root = s * 0.57735027f;
  const std::array<float, 9> hue = {c + third,    third - root, third + root,
                                    third + root, c + third,    third - root,
                                    third - root, third + root, c + third};
  constexpr std::array<float, 3> kLuma = {0.299f, 0.587f, 0.114f};
  std::array<float, 9> out;
  for (size_t column = 0; column < 3; ++column) {
    float luma = 0;
    for (size_t k = 0; k < 3; ++k) luma += kLuma[k] * hue[3 * k + column];
    for (size_t row = 0; row < 3; ++row) {
      out[3 * row + column] = gain * (saturation * hue[3 * row + column] + (1 - saturation) * luma);
    }
  }
  return out;
}

// Every channel to one of `levels` steps of the opacity.
void Posterize(int levels, Raster<4>& raster) {
  const float steps = static_cast<float>(levels - 1);
  for (size_t i = 0; i < raster.data.size(); i += 4) {
    float* p = raster.data.data() + i;
    if (p[3] <= 0) continue;
    for (int c = 0; c < 3; ++c) {
      p[c] = static_cast<float>(static_cast<int>(p[c] / p[3] * steps + 0.5f)) / steps * p[3];
    }
  }
}

// out[i] = the largest of in[i + k * stride], |k| <= radius. Wraps from row to row, which harms
// nothing: the margin keeps both ends of every row empty.
void Dilate(int radius, ptrdiff_t stride, const std::vector<float>& in, std::vector<float>& out) {
  out = in;
  const ptrdiff_t size = static_cast<ptrdiff_t>(in.size());
  for (ptrdiff_t k = 1; k <= radius; ++k) {
    const ptrdiff_t shift = k * stride;
    for (ptrdiff_t i = 0; i < size - shift; ++i) {
      const float ahead = in.data()[i + shift];
      out.data()[i] = ahead > out.data()[i] ? ahead : out.data()[i];
    }
    for (ptrdiff_t i = shift; i < size; ++i) {
      const float behind = in.data()[i - shift];
      out.data()[i] = behind > out.data()[i] ? behind : out.data()[i];
    }
  }
}

// A line of `radius` pixels around the opaque part, below the sprite.
void Outline(int radius, const Rgb& color, Raster<4>& raster) {
  const int row = raster.width + 2;
  std::vector<float> alpha(raster.data.size() / 4), wide, grown;
  for (size_t i = 0; i < alpha.size(); ++i) alpha[i] = raster.data[4 * i + 3];
  Dilate(radius, 1, alpha, wide);
  Dilate(radius, row, wide, grown);
  for (int y = 0; y < raster.height; ++y) {
    for (int x = 0; x < raster.width; ++x) {
      float* p = raster.At(y, x);
      const float below = grown[static_cast<size_t>((y + 1) * row + x + 1)] * (1 - p[3]);
      p[0] += color.r * below;
      p[1] += color.g * below;
      p[2] += color.b * below;
      p[3] += below;
    }
  }
}

void Augment(const Freedom& freedom, bool half, Raster<4>& raster, Random& random) {
  if (random.Chance(0.7)) {
    float hue = random.Between(-0.14f, 0.14f), saturation = random.Between(0.7f, 1.25f);
    if (!freedom.recolor) {
      hue *= 0.3f;
      saturation = random.Between(0.9f, 1.1f);
    } else if (random.Chance(0.06)) {
      saturation = random.Between(0.0f, 0.4f);
    }
    Transform(ColorMatrix(hue, saturation, random.Between(0.82f, 1.12f)), raster);
  }
  if (random.Chance(0.08)) Posterize(random.From(3, 6), raster);
  if (random.Chance(0.22)) {
    const float dark = random.Between(0.0f, 0.2f);
    const Rgb color = random.Chance(0.85) ? Rgb{dark, dark, dark} : Rgb{1, 1, 1};
    Outline(half ? random.From(1, 2) : random.From(2, 4), color, raster);
  }
}

// Cuts the raster to its visible part.
Sprite Cut(const Raster<4>& raster) {
  int x0 = raster.width, y0 = raster.height, x1 = 0, y1 = 0;
  for (int y = 0; y < raster.height; ++y) {
    for (int x = 0; x < raster.width; ++x) {
      if (raster.At(y, x)[3] < 0.1f) continue;
      x0 = std::min(x0, x), x1 = std::max(x1, x + 1);
      y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
    }
  }
  if (x1 <= x0) x0 = y0 = 0, x1 = raster.width, y1 = raster.height;  // an invisible sprite
  // Fainter pixels next to it belong to its smooth edge.
  x0 = std::max(x0 - 1, 0), y0 = std::max(y0 - 1, 0);
  x1 = std::min(x1 + 1, raster.width), y1 = std::min(y1 + 1, raster.height);
  Sprite sprite;
  sprite.raster = Raster<4>(y1 - y0, x1 - x0);
  for (int y = y0; y < y1; ++y) {
    std::copy_n(raster.At(y, x0), static_cast<ptrdiff_t>(x1 - x0) * 4, sprite.raster.At(y - y0, 0));
  }
  sprite.half_width = sprite.center_x = static_cast<float>(x1 - x0) / 2;
  sprite.half_height = sprite.center_y = static_cast<float>(y1 - y0) / 2;
  return sprite;
}

// A style of the wanted kind that has the concept, or -1.
int DrawStyle(const Art& art, int concept_index, StyleKind kind, Random* random) {
  const int count = static_cast<int>(art.styles().size());
  int found = -1, seen = 0;
  for (int style = 0; style < count; ++style) {
    const Style& about = art.styles()[static_cast<size_t>(style)];
    if (about.held_out != (kind == StyleKind::kHeldOut)) continue;
    if (about.training_only && kind != StyleKind::kTraining) continue;
    if (!art.Sprite(concept_index, style)) continue;
    ++seen;
    if (found < 0 || (random && random->Below(seen) == 0)) found = style;
  }
  return found;
}

}  // namespace

Freedom FreedomOf(const Concept& thing) {
  Freedom freedom;
  const bool sign = thing.category == "symbol" || HasWord(thing.name, "arrow");
  if (sign || HasWord(thing.name, "thumbs") || HasWord(thing.name, "left") ||
      HasWord(thing.name, "right")) {
    freedom.max_angle = 0.06f;
    freedom.flip = false;
  }
  if (std::find(kOneSided.begin(), kOneSided.end(), thing.name) != kOneSided.end()) {
    freedom.flip = false;
  }
  for (std::string_view word : kColorWords) {
    if (HasWord(thing.name, word)) freedom.recolor = false;
  }
  return freedom;
}

Choice DrawChoice(const Art& art, StyleKind kind, const std::vector<int>& except, Random& random) {
  const int count = static_cast<int>(art.concepts().size());
  auto style_of = [&](int index) {
    if (std::find(except.begin(), except.end(), index) != except.end()) return -1;
    return DrawStyle(art, index, kind, &random);
  };
  for (int i = 0; i < 64; ++i) {
    const int index = random.Below(count);
    const int style = style_of(index);
    if (style >= 0) return {index, style};
  }
  const int start = random.Below(count);  // few concepts are left: take the next one
  for (int i = 0; i < count; ++i) {
    const int index = (start + i) % count;
    const int style = style_of(index);
    if (style >= 0) return {index, style};
  }
  FASTVLM_CHECK(false);
  return {};
}

bool HasConcepts(const Art& art, StyleKind kind, int count) {
  for (int i = 0; i < static_cast<int>(art.concepts().size()) && count > 0; ++i) {
    if (DrawStyle(art, i, kind, nullptr) >= 0) --count;
  }
  return count <= 0;
}

Sprite PrepareSprite(const Art& art, Choice choice, float size, bool augment, Random& random) {
  const bool half = size < kSpriteSide / 2;
  Raster<4> raster = Load(art.Sprite(choice.concept_index, choice.style), half);
  if (augment) {
    const Concept& thing = art.concepts()[static_cast<size_t>(choice.concept_index)];
    Augment(FreedomOf(thing), half, raster, random);
  }
  return Cut(raster);
}

Extent ExtentOf(const Sprite& sprite, float angle) {
  const float c = std::abs(Cosine(angle)), s = std::abs(Sine(angle));
  return {2 * (c * sprite.half_width + s * sprite.half_height),
          2 * (s * sprite.half_width + c * sprite.half_height)};
}

Pose PoseSprite(const Sprite& sprite, float x, float y, float scale, float angle, bool flip) {
  Pose pose;
  pose.x = x;
  pose.y = y;
  pose.anchor_x = sprite.center_x;
  pose.anchor_y = sprite.center_y;
  pose.scale = scale;
  pose.angle = angle;
  pose.flip = flip;
  return pose;
}

bool Contrasts(const Sprite& sprite, const Rgb& ground) {
  int opaque = 0, distinct = 0;
  const Raster<4>& raster = sprite.raster;
  for (int y = 1; y < raster.height; y += 3) {
    for (int x = 1; x < raster.width; x += 3) {
      const float* p = raster.At(y, x);
      if (p[3] < 0.5f) continue;
      ++opaque;
      const Rgb color{p[0] / p[3], p[1] / p[3], p[2] / p[3]};
      if (Distance(color, ground) > 0.3f) ++distinct;
    }
  }
  return distinct * 2 >= opaque;
}

}  // namespace fastvlm::train
