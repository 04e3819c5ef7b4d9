#include "train/art/sheet.h"

#include <cairo.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

namespace fastvlm::train {
namespace {

constexpr int kThumbnail = 48;  // pixels
constexpr int kLabel = 16;      // height of a line of text
constexpr int kGap = 8;
constexpr int kColumns = 6;  // of concepts
constexpr int kFontLine = 40;

struct SheetDeleter {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};
using Surface = std::unique_ptr<cairo_surface_t, SheetDeleter>;
using Context = std::unique_ptr<cairo_t, SheetDeleter>;

Surface SpriteSurface(const uint8_t* rgba) {
  Surface surface(cairo_image_surface_create(CAIRO_FORMAT_ARGB32, kSpriteSide, kSpriteSide));
  unsigned char* rows = cairo_image_surface_get_data(surface.get());
  const size_t stride = size_t(cairo_image_surface_get_stride(surface.get()));
  for (size_t i = 0; i < size_t{kSpriteSide} * kSpriteSide; ++i) {
    const uint8_t* pixel = rgba + i * 4;
    const uint32_t argb = uint32_t{pixel[3]} << 24 | uint32_t{pixel[0]} << 16 |
                          uint32_t{pixel[1]} << 8 | uint32_t{pixel[2]};
    std::memcpy(rows + i / kSpriteSide * stride + i % kSpriteSide * 4, &argb, 4);
  }
  cairo_surface_mark_dirty(surface.get());
  return surface;
}

Surface GlyphSurface(const Glyph& glyph) {
  Surface surface(cairo_image_surface_create(CAIRO_FORMAT_A8, glyph.width, glyph.height));
  unsigned char* rows = cairo_image_surface_get_data(surface.get());
  const int stride = cairo_image_surface_get_stride(surface.get());
  for (int y = 0; y < glyph.height; ++y) {
    std::memcpy(rows + size_t(y) * size_t(stride), glyph.alpha + size_t(y) * size_t(glyph.width),
                size_t(glyph.width));
  }
  cairo_surface_mark_dirty(surface.get());
  return surface;
}

void DrawSprite(cairo_t* context, const uint8_t* rgba, double x, double y) {
  const Surface surface = SpriteSurface(rgba);
  cairo_save(context);
  cairo_translate(context, x, y);
  cairo_scale(context, double(kThumbnail) / kSpriteSide, double(kThumbnail) / kSpriteSide);
  cairo_set_source_surface(context, surface.get(), 0, 0);
  cairo_paint(context);
  cairo_restore(context);
}

// `y` is the baseline, `size` the pixels per em.
void DrawText(cairo_t* context, const Art& art, int font, std::string_view text, double x, double y,
              double size) {
  cairo_save(context);
  cairo_translate(context, x, y);
  cairo_scale(context, size / kGlyphEm, size / kGlyphEm);
  cairo_set_source_rgb(context, 0, 0, 0);
  double pen = 0;
  for (char character : text) {
    const Glyph* glyph = art.FindGlyph(font, character);
    if (glyph == nullptr) continue;
    if (glyph->width > 0 && glyph->height > 0) {
      const Surface surface = GlyphSurface(*glyph);
      cairo_mask_surface(context, surface.get(), pen + glyph->left, -glyph->top);
    }
    pen += double(glyph->advance);
  }
  cairo_restore(context);
}

}  // namespace

Status WriteSheet(const Art& art, const std::string& path) {
  const int styles = int(art.styles().size());
  const int concepts = int(art.concepts().size());
  const int cell_width = styles * kThumbnail + kGap;
  const int cell_height = kThumbnail + kLabel + kGap;
  const int rows = (concepts + kColumns - 1) / kColumns;
  const int fonts = int(art.fonts().size());
  const int width = std::max(kColumns * cell_width + kGap, 1600);
  const int height = rows * cell_height + fonts * kFontLine + 2 * kGap;
  const Surface sheet(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
  const Context context(cairo_create(sheet.get()));
  cairo_set_source_rgb(context.get(), 0.82, 0.86, 0.82);
  cairo_paint(context.get());
  for (int c = 0; c < concepts; ++c) {
    const double x = kGap + c % kColumns * cell_width;
    const double y = kGap + double(c / kColumns) * cell_height;
    DrawText(context.get(), art, 0, art.concepts()[size_t(c)].name, x, y + 12, 13);
    for (int s = 0; s < styles; ++s) {
      const uint8_t* sprite = art.Sprite(c, s);
      if (sprite != nullptr) DrawSprite(context.get(), sprite, x + s * kThumbnail, y + kLabel);
    }
  }
  for (int f = 0; f < fonts; ++f) {
    const double y = rows * cell_height + double(f + 1) * kFontLine;
    DrawText(context.get(), art, f,
             art.fonts()[size_t(f)].name +
                 ": ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz "
                 "0123456789 .,:;!?&$@#%*+-=()/",
             kGap, y, 24);
  }
  cairo_surface_flush(sheet.get());
  const cairo_status_t status = cairo_surface_write_to_png(sheet.get(), path.c_str());
  if (status != CAIRO_STATUS_SUCCESS) {
    return Error(StatusCode::kIoError, "{}: cannot write the contact sheet: {}", path,
                 cairo_status_to_string(status));
  }
  return {};
}

}  // namespace fastvlm::train
