#include "train/art/glyphs.h"

#include <ft2build.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include FT_FREETYPE_H

namespace fastvlm::train {
namespace {

struct FontRow {
  const char* name;
  bool held_out;
  const char* file;
  const char* package;
};

constexpr FontRow kFonts[] = {
    {"DejaVu Sans", false, "DejaVuSans.ttf", "fonts-dejavu-core"},
    {"DejaVu Sans Bold", false, "DejaVuSans-Bold.ttf", "fonts-dejavu-core"},
    {"DejaVu Sans Mono Bold", false, "DejaVuSansMono-Bold.ttf", "fonts-dejavu-core"},
    {"DejaVu Serif", false, "DejaVuSerif.ttf", "fonts-dejavu-core"},
    {"DejaVu Serif Condensed Bold", false, "DejaVuSerifCondensed-Bold.ttf", "fonts-dejavu-extra"},
    {"Liberation Sans", false, "LiberationSans-Regular.ttf", "fonts-liberation"},
    {"Liberation Sans Bold", false, "LiberationSans-Bold.ttf", "fonts-liberation"},
    {"Liberation Serif Bold", false, "LiberationSerif-Bold.ttf", "fonts-liberation"},
    {"Liberation Mono Bold", false, "LiberationMono-Bold.ttf", "fonts-liberation"},
    {"Lato Regular", false, "Lato-Regular.ttf", "fonts-lato"},
    {"Lato Black", false, "Lato-Black.ttf", "fonts-lato"},
    {"Open Sans Bold", false, "OpenSans-Bold.ttf", "fonts-open-sans"},
    {"Hack Regular", false, "Hack-Regular.ttf", "fonts-hack-ttf"},
    {"Quicksand Bold", false, "Quicksand-Bold.ttf", "fonts-quicksand"},
    {"Comic Neue Bold", false, "ComicNeue-Bold.otf", "fonts-comic-neue"},
    {"FreeSerif Bold", true, "FreeSerifBold.ttf", "fonts-freefont-ttf"},
    {"Cantarell Bold", true, "Cantarell-Bold.otf", "fonts-cantarell"},
    {"Roboto Medium", true, "Roboto-Medium.ttf", "fonts-roboto-unhinted"},
};

constexpr int kMaxBitmapSide = 4 * kGlyphEm;

class FreeType {
 public:
  FreeType() { failed_ = FT_Init_FreeType(&library_) != 0; }
  ~FreeType() {
    if (face_ != nullptr) FT_Done_Face(face_);
    if (!failed_) FT_Done_FreeType(library_);
  }
  FreeType(const FreeType&) = delete;
  FreeType& operator=(const FreeType&) = delete;

  Status Open(const std::string& path) {
    if (failed_ || FT_New_Face(library_, path.c_str(), 0, &face_) != 0 ||
        FT_Set_Pixel_Sizes(face_, 0, kGlyphEm) != 0) {
      return Error(StatusCode::kDataError,
                   "{}: FreeType cannot read it as a scalable font; install its package again",
                   path);
    }
    return {};
  }
  FT_Face face() const { return face_; }

 private:
  FT_Library library_ = nullptr;
  FT_Face face_ = nullptr;
  bool failed_ = false;
};

Status CopyBitmap(const FT_GlyphSlot slot, const std::string& path, char character,
                  RenderedGlyph* out) {
  const FT_Bitmap& bitmap = slot->bitmap;
  if (bitmap.width > kMaxBitmapSide || bitmap.rows > kMaxBitmapSide ||
      (bitmap.rows > 0 && (bitmap.pixel_mode != FT_PIXEL_MODE_GRAY || bitmap.pitch < 0))) {
    return Error(StatusCode::kDataError,
                 "{}: character '{}' renders to a bitmap of {} x {} in mode {}", path, character,
                 bitmap.width, bitmap.rows, int(bitmap.pixel_mode));
  }
  out->present = true;
  out->glyph.width = int(bitmap.width);
  out->glyph.height = int(bitmap.rows);
  out->glyph.left = slot->bitmap_left;
  out->glyph.top = slot->bitmap_top;
  out->glyph.advance = float(slot->linearHoriAdvance) / 65536.0f;  // 16.16 fixed point
  out->alpha.resize(size_t(bitmap.width) * bitmap.rows);
  for (size_t y = 0; y < bitmap.rows; ++y) {
    std::memcpy(out->alpha.data() + y * bitmap.width, bitmap.buffer + y * size_t(bitmap.pitch),
                bitmap.width);
  }
  return {};
}

}  // namespace

std::vector<FontFile> FontFiles() {
  std::vector<FontFile> files;
  for (const FontRow& row : kFonts) {
    files.push_back({{row.name, row.held_out}, row.file, row.package});
  }
  return files;
}

Result<std::string> FindFontFile(const std::string& directory, const FontFile& font) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::recursive_directory_iterator at(directory, fs::directory_options::skip_permission_denied,
                                      error);
  while (!error && at != fs::recursive_directory_iterator()) {
    if (at->path().filename() == font.file && at->is_regular_file(error))
      return at->path().string();
    at.increment(error);
  }
  return Error(StatusCode::kNotFound,
               "no font file {} below {}; install the package {} (scripts/install-deps.sh --train)",
               font.file, directory, font.package);
}

Result<std::vector<RenderedGlyph>> RenderGlyphs(const std::string& path) {
  FreeType font;
  FASTVLM_RETURN_IF_ERROR(font.Open(path));
  std::vector<RenderedGlyph> glyphs(kCharacters);
  for (int i = 0; i < kCharacters; ++i) {
    const char character = char(kFirstCharacter + i);
    const FT_UInt index = FT_Get_Char_Index(font.face(), FT_ULong(character));
    if (index == 0) {
      if (std::isalnum(character) == 0) continue;
      return Error(StatusCode::kDataError, "{}: the font has no '{}'; it is not for Latin text",
                   path, character);
    }
    if (FT_Load_Glyph(font.face(), index, FT_LOAD_NO_HINTING | FT_LOAD_NO_BITMAP) != 0 ||
        FT_Render_Glyph(font.face()->glyph, FT_RENDER_MODE_NORMAL) != 0) {
      return Error(StatusCode::kDataError, "{}: cannot render '{}'; install its package again",
                   path, character);
    }
    FASTVLM_RETURN_IF_ERROR(CopyBitmap(font.face()->glyph, path, character, &glyphs[size_t(i)]));
  }
  return glyphs;
}

}  // namespace fastvlm::train
