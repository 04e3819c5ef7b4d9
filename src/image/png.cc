// PNG by libpng: grey, colour and palette of every depth to 8-bit RGB; 16 bits keep the high byte
// and alpha is dropped, as Pillow's convert('RGB') does, unless the options have a background.
// The chunks are found here. libpng is fed those that pictures are made of, one after the other,
// and PngMetadata sees the rest, so nothing in the rest can spoil a picture. libpng takes whatever
// part of the pixels there is, so a file may end anywhere behind the last one. libpng reports an
// error by longjmp, which runs no destructors, so the functions that it can jump out of own
// nothing.
#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <png.h>

#include "image/decoder.h"
#include "image/png_metadata.h"

namespace fastvlm {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkHeaderBytes = 8;  // length and type
constexpr size_t kChunkBytes = 12;       // the same and the checksum

// Everything that one decode owns. It lives outside of the functions that a jump leaves.
struct PngReader {
  explicit PngReader(const ImageSource& image_source) : source(image_source) {}
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  const ImageSource& source;
  png_structp png = nullptr;
  png_infop info = nullptr;
  png_uint_32 last_row = 0;  // the row of the last pass that completes the picture
  int last_pass = 0;
  bool pixels_complete = false;
  Status failure;
  int channels = 3;  // 4: with alpha, for a background
  size_t row_bytes() const { return static_cast<size_t>(image.width) * channels; }
  Image image;
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  PngReader& reader = *static_cast<PngReader*>(png_get_error_ptr(png));
  if (reader.failure.ok()) {
    reader.failure =
        Error(StatusCode::kDataError, "{}: damaged PNG: {}", reader.source.name, message);
  }
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

// The size as the header has it, read before libpng's own limit could refuse it less clearly.
Status CheckHeader(const ImageSource& source) {
  const std::span<const uint8_t> bytes = source.bytes;
  if (bytes.size() < 24 || std::memcmp(&bytes[12], "IHDR", 4) != 0) return Status();
  return CheckImageSize(source, png_get_uint_32(&bytes[16]), png_get_uint_32(&bytes[20]));
}

// Sets which row of which pass is the last one that holds pixels. Source: PNG 1.2, section 2.6.
void FindLastRow(png_uint_32 width, png_uint_32 height, bool interlaced, PngReader* reader) {
  reader->last_pass = 0;
  reader->last_row = height - 1;
  if (!interlaced) return;
  for (int pass = 6; pass >= 0; --pass) {
    if (PNG_PASS_COLS(width, pass) == 0 || PNG_PASS_ROWS(height, pass) == 0) continue;
    reader->last_pass = pass;
    reader->last_row = PNG_ROW_FROM_PASS_ROW(PNG_PASS_ROWS(height, pass) - 1, pass);
    return;
  }
}

// All chunks before the pixels have been read.
void OnInfo(png_structp png, png_infop info) {
  PngReader& reader = *static_cast<PngReader*>(png_get_progressive_ptr(png));
  const int color_type = png_get_color_type(png, info);
  const int depth = png_get_bit_depth(png, info);
  if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (color_type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (reader.channels == 4 && png_get_valid(png, info, PNG_INFO_tRNS) != 0) {
    png_set_tRNS_to_alpha(png);
  }
  if (depth == 16) png_set_strip_16(png);
  if ((color_type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
  if (reader.channels == 3) png_set_strip_alpha(png);
  const int passes = png_set_interlace_handling(png);
  const png_uint_32 height = png_get_image_height(png, info);
  FindLastRow(png_get_image_width(png, info), height, passes > 1, &reader);
  png_read_update_info(png, info);
  const size_t row_bytes = reader.row_bytes();
  if (png_get_rowbytes(png, info) != row_bytes ||
      row_bytes * height != reader.image.pixels.size()) {
    png_error(png, "unexpected row size");
  }
  // Checksums of the header and the palette have to be right. That of the pixels is not looked at,
  // as in Pillow, but what cannot be inflated is an error.
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_DEFAULT);
  png_set_benign_errors(png, 0);
}

// row is null where a pass of an interlaced picture has nothing new.
void OnRow(png_structp png, png_bytep row, png_uint_32 y, int pass) {
  if (row == nullptr) return;
  PngReader& reader = *static_cast<PngReader*>(png_get_progressive_ptr(png));
  const size_t row_bytes = reader.row_bytes();
  if ((y + size_t{1}) * row_bytes > reader.image.pixels.size()) png_error(png, "too many rows");
  png_progressive_combine_row(png, &reader.image.pixels[y * row_bytes], row);
  if (pass == reader.last_pass && y == reader.last_row) reader.pixels_complete = true;
}

// libpng does not write what it is fed.
void Feed(PngReader& reader, std::span<const uint8_t> bytes) {
  png_process_data(reader.png, reader.info, const_cast<png_bytep>(bytes.data()), bytes.size());
}

struct Chunk {
  std::string_view type;
  std::span<const uint8_t> all;   // as far as the file goes
  std::span<const uint8_t> data;  // empty if the file ends within the chunk
};

// The chunk at `at`, which moves behind it. Nothing at the end, or where no chunk can begin.
std::optional<Chunk> NextChunk(std::span<const uint8_t> bytes, size_t* at) {
  bytes = bytes.subspan(*at);
  if (bytes.size() < kChunkHeaderBytes) return std::nullopt;
  const size_t size = png_get_uint_32(bytes.data());
  Chunk chunk;
  chunk.type = {reinterpret_cast<const char*>(&bytes[4]), 4};
  chunk.all = bytes.first(std::min(size + kChunkBytes, bytes.size()));
  if (size <= bytes.size() - kChunkHeaderBytes) chunk.data = bytes.subspan(kChunkHeaderBytes, size);
  *at += chunk.all.size();
  return chunk;
}

int PngOrientation(const ImageSource& source) {
  PngMetadata metadata;
  size_t at = kSignatureBytes;
  while (const std::optional<Chunk> chunk = NextChunk(source.bytes, &at)) {
    if (chunk->type == "IEND") break;
    metadata.Add(chunk->type, chunk->data);
  }
  return metadata.Orientation();
}

// Chunks whose type begins with a small letter are not needed to show the picture.
bool IsCritical(const Chunk& chunk) { return (chunk.type[0] & 0x20) == 0; }

bool HasAlpha(const PngReader& reader) {
  return (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
         png_get_valid(reader.png, reader.info, PNG_INFO_tRNS) != 0;
}

// Feeds libpng until the picture is complete or the file ends. Memory for the picture is taken here
// and not in a call from libpng, which no exception may leave.
void ReadChunks(PngReader& reader) {
  Feed(reader, reader.source.bytes.first(kSignatureBytes));
  size_t at = kSignatureBytes;
  while (!reader.pixels_complete) {
    const std::optional<Chunk> chunk = NextChunk(reader.source.bytes, &at);
    if (!chunk.has_value()) return;
    const bool blend = reader.source.options.background.has_value();
    const bool wanted = blend && chunk->type == "tRNS" && reader.image.pixels.empty();
    if (!IsCritical(*chunk) && !wanted) {
      if (!reader.image.pixels.empty()) png_error(reader.png, "another chunk parts its pixels");
      continue;
    }
    if (chunk->type == "IDAT" && reader.image.pixels.empty()) {
      const png_uint_32 width = png_get_image_width(reader.png, reader.info);
      const png_uint_32 height = png_get_image_height(reader.png, reader.info);
      if (width == 0 || height == 0) png_error(reader.png, "pixels stand before the header");
      reader.channels = blend && HasAlpha(reader) ? 4 : 3;
      reader.failure = AllocateImage(reader.source, width, height, &reader.image, reader.channels);
      if (!reader.failure.ok()) return;
    }
    Feed(reader, chunk->all);
  }
}

// An error of libpng ends it early; what follows the last pixel does not matter.
void Read(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return;
  png_set_progressive_read_fn(reader.png, &reader, OnInfo, OnRow, nullptr);
  png_set_user_limits(reader.png, static_cast<png_uint_32>(reader.source.options.max_side),
                      static_cast<png_uint_32>(reader.source.options.max_side));
  ReadChunks(reader);
}

}  // namespace

Result<DecodedImage> DecodePng(const ImageSource& source) {
  FASTVLM_RETURN_IF_ERROR(CheckHeader(source));
  PngReader reader(source);
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnError, OnWarning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) {
    return Error(StatusCode::kResourceExhausted, "{}: libpng could not start", source.name);
  }
  Read(reader);
  if (!reader.pixels_complete) {
    if (!reader.failure.ok()) return std::move(reader.failure);
    return Error(StatusCode::kDataError, "{}: truncated PNG: it ends after {} bytes", source.name,
                 source.bytes.size());
  }
  if (reader.channels == 4) RemoveAlpha(source, &reader.image);
  return DecodedImage{std::move(reader.image), PngOrientation(source)};
}

}  // namespace fastvlm
