#include "train/art/sprites.h"

#include <cairo.h>
#include <librsvg/rsvg.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/printable.h"

namespace fastvlm::train {
namespace {

struct CairoDeleter {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* context) const { cairo_destroy(context); }
  void operator()(RsvgHandle* handle) const { g_object_unref(handle); }
};
template <typename T>
using Owned = std::unique_ptr<T, CairoDeleter>;

Status SvgError(const std::string& place, GError* error) {
  Status status = Error(StatusCode::kDataError, "{}: broken SVG: {}; fetch the art again", place,
                        error == nullptr ? "unknown error" : Printable(error->message));
  g_clear_error(&error);
  return status;
}

// Cairo's ARGB32 is one native-endian word a pixel.
bool ToRgba(cairo_surface_t* surface, int side, std::vector<uint8_t>* rgba) {
  cairo_surface_flush(surface);
  const unsigned char* rows = cairo_image_surface_get_data(surface);
  const int stride = cairo_image_surface_get_stride(surface);
  bool drawn = false;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      uint32_t argb;
      std::memcpy(&argb, rows + size_t(y) * size_t(stride) + size_t(x) * 4, 4);
      uint8_t* pixel = rgba->data() + (size_t(y) * size_t(side) + size_t(x)) * 4;
      pixel[0] = uint8_t(argb >> 16 & 0xff);
      pixel[1] = uint8_t(argb >> 8 & 0xff);
      pixel[2] = uint8_t(argb & 0xff);
      pixel[3] = uint8_t(argb >> 24);
      drawn |= pixel[3] != 0;
    }
  }
  return drawn;
}

}  // namespace

Result<std::vector<uint8_t>> RenderSvg(std::string_view svg, int side, const std::string& place) {
  GError* error = nullptr;
  const Owned<RsvgHandle> handle(
      rsvg_handle_new_from_data(reinterpret_cast<const guint8*>(svg.data()), svg.size(), &error));
  if (handle == nullptr) return SvgError(place, error);
  const Owned<cairo_surface_t> surface(cairo_image_surface_create(CAIRO_FORMAT_ARGB32, side, side));
  const Owned<cairo_t> context(cairo_create(surface.get()));
  const RsvgRectangle viewport = {0, 0, double(side), double(side)};
  if (!rsvg_handle_render_document(handle.get(), context.get(), &viewport, &error)) {
    return SvgError(place, error);
  }
  if (cairo_status(context.get()) != CAIRO_STATUS_SUCCESS) {
    return Error(StatusCode::kDataError, "{}: cannot draw the SVG: {}", place,
                 cairo_status_to_string(cairo_status(context.get())));
  }
  std::vector<uint8_t> rgba(size_t(side) * size_t(side) * 4);
  if (!ToRgba(surface.get(), side, &rgba)) {
    return Error(StatusCode::kDataError, "{}: the SVG draws nothing; fetch the art again", place);
  }
  return rgba;
}

void DrawLines(const std::vector<uint8_t>& lines, int side, std::vector<uint8_t>* sprite) {
  const int pen = std::max(1, side * 3 / 128);
  const auto ink = [&](int x, int y) {
    const bool inside = x >= 0 && x < side && y >= 0 && y < side;
    return inside ? int{lines[(size_t(y) * size_t(side) + size_t(x)) * 4 + 3]} : 0;
  };
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      int filled = ink(x, y);  // where all within the pen's reach is ink
      if (filled == 0) continue;
      for (int dy = -pen; dy <= pen; ++dy) {
        for (int dx = -pen; dx <= pen; ++dx) {
          if (dx * dx + dy * dy <= pen * pen) filled = std::min(filled, ink(x + dx, y + dy));
        }
      }
      const int line = ink(x, y) - filled;
      uint8_t* pixel = sprite->data() + (size_t(y) * size_t(side) + size_t(x)) * 4;
      for (int c = 0; c < 4; ++c) pixel[c] = uint8_t((pixel[c] * (255 - line) + 127) / 255);
      pixel[3] = uint8_t(pixel[3] + line);
    }
  }
}

}  // namespace fastvlm::train
