// The art that scenes are made of: pictures of named things in several styles, and the glyphs of
// free fonts. All of it is rendered once into one cache file (`fastvlm-train art`), so that
// training needs neither an SVG renderer nor fonts.
#ifndef FASTVLM_TRAIN_ART_ART_H_
#define FASTVLM_TRAIN_ART_ART_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace fastvlm::train {

// How a thing is counted: "a cat, two cats" / "some scissors" / "some popcorn".
enum class Number { kCountable, kPlural, kMass };

struct Concept {
  std::string name;      // "red apple"
  std::string plural;    // "red apples"; equal to name unless countable
  std::string article;   // "a", "an", "the" or "some"
  std::string category;  // "food"
  Number number = Number::kCountable;
};

struct Style {
  std::string name;       // "noto"
  bool held_out = false;  // only for tests: never shown in training
  // Only for training: what is tested stays the same when styles are added.
  bool training_only = false;
};

struct Font {
  std::string name;  // "DejaVu Sans Bold"
  bool held_out = false;
};

// One character of one font, rendered at kGlyphEm pixels per em.
struct Glyph {
  int width = 0, height = 0;       // of the bitmap; 0 for a space
  int left = 0, top = 0;           // of its first pixel: right of the pen, above the baseline
  float advance = 0;               // pixels
  const uint8_t* alpha = nullptr;  // [height, width] coverage
};

inline constexpr int kSpriteSide = 128;  // pixels
inline constexpr int kGlyphEm = 96;      // pixels

// Immutable; any number of threads may read it.
class Art {
 public:
  // Opens a cache file. kNotFound, kDataError for a file that is truncated, corrupt or of another
  // version; the message names the file and says how to make it.
  static Result<Art> Open(const std::string& path);

  const std::vector<Concept>& concepts() const { return concepts_; }
  const std::vector<Style>& styles() const { return styles_; }
  const std::vector<Font>& fonts() const { return fonts_; }

  // Premultiplied RGBA, [kSpriteSide, kSpriteSide, 4], row-major; null where a style lacks a
  // concept. Sprites keep the aspect ratio of their drawing and are centred.
  const uint8_t* Sprite(int concept_index, int style) const;

  // The glyph of an ASCII letter, digit or punctuation mark; null where there is none.
  const Glyph* FindGlyph(int font, char character) const;

 private:
  static constexpr int kNoGlyph = -1;  // width of a glyph that the font lacks

  MappedFile file_;
  std::vector<Concept> concepts_;
  std::vector<Style> styles_;
  std::vector<Font> fonts_;
  std::vector<const uint8_t*> sprites_;  // [concept][style]
  std::vector<Glyph> glyphs_;            // [font][character - ' ']
};

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_ART_H_
