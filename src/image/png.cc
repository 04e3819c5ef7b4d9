// PNG by libpng: grey, colour and palette of every depth to 8-bit RGB; 16 bits keep the high byte
// and alpha is dropped, as Pillow's convert('RGB') does.
// libpng reports an error by longjmp, which runs no destructors, so the functions that it can jump
// out of own nothing.
#include <csetjmp>
#include <cstring>

#include <png.h>

#include "image/decoder.h"
#include "image/orientation.h"

namespace fastvlm {
namespace {

// Everything that one decode owns. It lives outside of the functions that a jump leaves.
struct PngReader {
  explicit PngReader(const ImageSource& image_source) : source(image_source) {}
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  const ImageSource& source;
  size_t position = 0;
  png_structp png = nullptr;
  png_infop info = nullptr;
  bool pixels_complete = false;
  Status failure;
  DecodedImage decoded;
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

void ReadBytes(png_structp png, png_bytep target, size_t size) {
  PngReader& reader = *static_cast<PngReader*>(png_get_io_ptr(png));
  if (size > reader.source.bytes.size() - reader.position) {
    reader.failure = Error(StatusCode::kDataError, "{}: truncated PNG: it ends after {} bytes",
                           reader.source.name, reader.source.bytes.size());
    png_error(png, "truncated");
  }
  std::memcpy(target, reader.source.bytes.data() + reader.position, size);
  reader.position += size;
}

void SetUp(PngReader& reader) {
  png_set_read_fn(reader.png, &reader, ReadBytes);
  png_set_user_limits(reader.png, static_cast<png_uint_32>(reader.source.options.max_side),
                      static_cast<png_uint_32>(reader.source.options.max_side));
  // Text and colour profiles are not used: skipping them leaves nothing to inflate.
  static constexpr png_byte kSkipped[] = "iCCP\0sPLT\0tEXt\0zTXt\0iTXt";
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, kSkipped, 5);
}

// The size as the header has it, read before libpng's own limit could refuse it less clearly.
Status CheckHeader(const ImageSource& source) {
  const std::span<const uint8_t> bytes = source.bytes;
  if (bytes.size() < 24 || std::memcmp(&bytes[12], "IHDR", 4) != 0) return Status();
  return CheckImageSize(source, png_get_uint_32(&bytes[16]), png_get_uint_32(&bytes[20]));
}

void ReadPixels(PngReader& reader) {
  png_structp png = reader.png;
  const int color_type = png_get_color_type(png, reader.info);
  const int depth = png_get_bit_depth(png, reader.info);
  if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (color_type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (depth == 16) png_set_strip_16(png);
  if ((color_type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, reader.info);
  Image& image = reader.decoded.image;
  const size_t row_bytes = static_cast<size_t>(image.width) * 3;
  if (png_get_rowbytes(png, reader.info) != row_bytes) png_error(png, "unexpected row size");
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < image.height; ++y) {
      png_read_row(png, &image.pixels[static_cast<size_t>(y) * row_bytes], nullptr);
    }
  }
}

void ReadOrientation(PngReader& reader) {
  png_uint_32 size = 0;
  png_bytep exif = nullptr;
  if (png_get_eXIf_1(reader.png, reader.info, &size, &exif) != 0) {
    reader.decoded.orientation = ReadExifOrientation({exif, size});
  }
}

// False when the pixels cannot be read; then reader.failure says why.
bool Read(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return reader.pixels_complete;
  SetUp(reader);
  png_read_info(reader.png, reader.info);
  reader.failure =
      AllocateImage(reader.source, png_get_image_width(reader.png, reader.info),
                    png_get_image_height(reader.png, reader.info), &reader.decoded.image);
  if (!reader.failure.ok()) return false;
  ReadPixels(reader);
  ReadOrientation(reader);
  // A damaged end does not spoil a complete picture; Pillow does not mind it either.
  reader.pixels_complete = true;
  png_read_end(reader.png, reader.info);
  ReadOrientation(reader);
  return true;
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
  if (!Read(reader)) return std::move(reader.failure);
  return std::move(reader.decoded);
}

}  // namespace fastvlm
