// Characters of free fonts to pixels (FreeType).
#ifndef FASTVLM_TRAIN_ART_GLYPHS_H_
#define FASTVLM_TRAIN_ART_GLYPHS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "train/art/art.h"

namespace fastvlm::train {

inline constexpr char kFirstCharacter = ' ';
inline constexpr int kCharacters = '~' - ' ' + 1;  // the printable ASCII ones

struct FontFile {
  Font font;
  std::string file;     // base name
  std::string package;  // that Debian has it in
};

// The fonts of the cache, in its order.
std::vector<FontFile> FontFiles();

struct RenderedGlyph {
  Glyph glyph;  // alpha is null; the pixels follow
  std::vector<uint8_t> alpha;
  bool present = false;
};

// Path of a font file below `directory`, at any depth. kNotFound says which package has it.
Result<std::string> FindFontFile(const std::string& directory, const FontFile& font);

// The kCharacters glyphs of a font file, [character - kFirstCharacter]. kDataError for a file that
// FreeType cannot read or that lacks a letter or digit.
Result<std::vector<RenderedGlyph>> RenderGlyphs(const std::string& path);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_GLYPHS_H_
