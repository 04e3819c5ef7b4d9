// GIF by giflib: the first frame on its canvas. What the frame does not cover is, as in Pillow,
// the transparent colour if there is one, otherwise colour 0 (not the background of the header).
// A background that the options name stands in the place of the transparent colour.
#include <gif_lib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "image/decoder.h"

namespace fastvlm {
namespace {

struct Input {
  std::span<const uint8_t> bytes;
  size_t position = 0;
};

int ReadBytes(GifFileType* gif, GifByteType* target, int size) {
  Input& input = *static_cast<Input*>(gif->UserData);
  const size_t count =
      std::min(static_cast<size_t>(std::max(size, 0)), input.bytes.size() - input.position);
  std::memcpy(target, input.bytes.data() + input.position, count);
  input.position += count;
  return static_cast<int>(count);
}

struct GifCloser {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};
using GifFile = std::unique_ptr<GifFileType, GifCloser>;

Status GifError(const ImageSource& source, const Input& input, int code) {
  const char* text = GifErrorString(code);
  return Error(StatusCode::kDataError, "{}: {} GIF: {}", source.name,
               input.position == input.bytes.size() ? "truncated" : "damaged",
               text == nullptr ? "it cannot be parsed" : text);
}

// Reads one extension; a graphics control block sets `transparent`, the index of that colour or -1.
bool ReadExtension(GifFileType* gif, int* transparent) {
  int code = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(gif, &code, &block) != GIF_OK) return false;
  GraphicsControlBlock control = {};
  if (code == GRAPHICS_EXT_FUNC_CODE && block != nullptr &&
      DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
    *transparent = control.TransparentColor;
  }
  while (block != nullptr) {
    if (DGifGetExtensionNext(gif, &block) != GIF_OK) return false;
  }
  return true;
}

// Moves to the descriptor of the first frame. False when there is none; gif->Error says why.
bool FindFrame(GifFileType* gif, int* transparent) {
  GifRecordType record = UNDEFINED_RECORD_TYPE;
  while (DGifGetRecordType(gif, &record) == GIF_OK) {
    if (record == IMAGE_DESC_RECORD_TYPE) return DGifGetImageDesc(gif) == GIF_OK;
    if (record == TERMINATE_RECORD_TYPE) {
      gif->Error = D_GIF_ERR_NO_IMAG_DSCR;
      return false;
    }
    if (record == EXTENSION_RECORD_TYPE && !ReadExtension(gif, transparent)) return false;
  }
  return false;
}

struct GifPalette {
  uint8_t colors[256][3] = {};
};

// Without a colour map an index is a grey level; indices beyond the map are black.
GifPalette PaletteOf(const GifFileType& gif) {
  GifPalette palette;
  const ColorMapObject* map = gif.Image.ColorMap != nullptr ? gif.Image.ColorMap : gif.SColorMap;
  for (int i = 0; i < 256; ++i) {
    if (map == nullptr) {
      std::memset(palette.colors[i], i, 3);
    } else if (i < map->ColorCount) {
      palette.colors[i][0] = map->Colors[i].Red;
      palette.colors[i][1] = map->Colors[i].Green;
      palette.colors[i][2] = map->Colors[i].Blue;
    }
  }
  return palette;
}

// Which row of the frame the n-th stored row is. An interlaced frame is stored in four passes.
// Source: GIF89a appendix E.
std::vector<int> RowOrder(int height, bool interlaced) {
  std::vector<int> order;
  order.reserve(static_cast<size_t>(height));
  constexpr int kPasses[4][2] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
  if (!interlaced) {
    for (int y = 0; y < height; ++y) order.push_back(y);
    return order;
  }
  for (const auto& [first, step] : kPasses) {
    for (int y = first; y < height; y += step) order.push_back(y);
  }
  return order;
}

}  // namespace

Result<DecodedImage> DecodeGif(const ImageSource& source) {
  Input input{source.bytes};
  int open_error = 0;
  const GifFile gif(DGifOpen(&input, ReadBytes, &open_error));
  if (gif == nullptr) return GifError(source, input, open_error);
  int transparent = -1;
  if (!FindFrame(gif.get(), &transparent)) return GifError(source, input, gif->Error);

  const GifImageDesc& frame = gif->Image;
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, frame.Width, frame.Height));
  DecodedImage decoded;
  Image& image = decoded.image;
  FASTVLM_RETURN_IF_ERROR(AllocateImage(source, std::max(gif->SWidth, frame.Left + frame.Width),
                                        std::max(gif->SHeight, frame.Top + frame.Height), &image));
  GifPalette palette = PaletteOf(*gif);
  if (const auto& background = source.options.background; background && transparent >= 0) {
    uint8_t* color = palette.colors[transparent & 255];
    color[0] = background->red;
    color[1] = background->green;
    color[2] = background->blue;
  }
  const uint8_t* outside = palette.colors[std::max(transparent, 0) & 255];
  for (size_t i = 0; i < image.pixels.size(); i += 3) std::memcpy(&image.pixels[i], outside, 3);

  std::vector<GifPixelType> indices(static_cast<size_t>(frame.Width));
  for (int y : RowOrder(frame.Height, frame.Interlace)) {
    if (DGifGetLine(gif.get(), indices.data(), frame.Width) != GIF_OK) {
      return GifError(source, input, gif->Error);
    }
    const size_t row = static_cast<size_t>(frame.Top + y) * image.width + frame.Left;
    uint8_t* target = &image.pixels[row * 3];
    for (GifPixelType index : indices) {
      std::memcpy(target, palette.colors[index], 3);
      target += 3;
    }
  }
  return decoded;
}

}  // namespace fastvlm
