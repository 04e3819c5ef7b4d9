// JPEG by libjpeg-turbo, with the settings Pillow uses: accurate integer DCT, fancy upsampling.
// libjpeg reports an error by longjmp, which runs no destructors, so the functions that it can jump
// out of own nothing.
#include <csetjmp>
#include <cstdio>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <jpeglib.h>

#include "image/decoder.h"
#include "image/orientation.h"

namespace fastvlm {
namespace {

// A progressive file has about ten scans. Each costs a pass over the whole picture, so a file of
// thousands of empty ones is an attack.
constexpr int kMaxScans = 100;

// A segment holds 64 KiB, and the orientation stands in the first ones.
constexpr size_t kMaxExifBytes = 1 << 20;

// Everything that one decode owns. It lives outside of the functions that a jump leaves.
struct JpegReader {
  explicit JpegReader(const ImageSource& image_source) : source(image_source) {}
  ~JpegReader() { jpeg_destroy_decompress(&jpeg); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  const ImageSource& source;
  jpeg_decompress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg_source_mgr input = {};
  jpeg_progress_mgr progress = {};
  jmp_buf jump = {};
  Status failure;
  DecodedImage decoded;
  std::unique_ptr<RowResizer> resizer;  // nullptr: the picture is decoded whole
  std::vector<uint8_t> rgb_row;         // for the resizer
  std::vector<uint8_t> cmyk_row;
};

JpegReader& ReaderOf(j_common_ptr jpeg) { return *static_cast<JpegReader*>(jpeg->client_data); }

[[noreturn]] void Fail(JpegReader& reader, StatusCode code, const char* what, const char* detail) {
  reader.failure = Error(code, "{}: {} JPEG: {}", reader.source.name, what, detail);
  longjmp(reader.jump, 1);
}

[[noreturn]] void OnError(j_common_ptr jpeg) {
  char message[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, message);
  Fail(ReaderOf(jpeg), StatusCode::kDataError, "damaged", message);
}

// Warnings (a bad Huffman code, a wrong restart marker) leave a readable picture; Pillow shows it.
void OnMessage(j_common_ptr jpeg, int level) {
  if (level < 0) ++jpeg->err->num_warnings;
}

void OnProgress(j_common_ptr jpeg) {
  if (jpeg->is_decompressor == 0) return;
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxScans) {
    Fail(ReaderOf(jpeg), StatusCode::kResourceExhausted, "refused",
         "it has far more scans than the usual ten");
  }
}

void NoSource(j_decompress_ptr) {}

boolean OnEndOfData(j_decompress_ptr jpeg) {
  Fail(ReaderOf(reinterpret_cast<j_common_ptr>(jpeg)), StatusCode::kDataError, "truncated",
       "the file ends before its end-of-image marker");
}

void Skip(j_decompress_ptr jpeg, long bytes) {  // NOLINT: libjpeg's type
  if (bytes <= 0) return;
  if (static_cast<size_t>(bytes) > jpeg->src->bytes_in_buffer) OnEndOfData(jpeg);
  jpeg->src->next_input_byte += bytes;
  jpeg->src->bytes_in_buffer -= static_cast<size_t>(bytes);
}

void SetUp(JpegReader& reader) {
  jpeg_decompress_struct& jpeg = reader.jpeg;
  jpeg.err = jpeg_std_error(&reader.errors);
  jpeg.client_data = &reader;
  reader.errors.error_exit = OnError;
  reader.errors.emit_message = OnMessage;
  jpeg_create_decompress(&jpeg);
  reader.progress.progress_monitor = OnProgress;
  jpeg.progress = &reader.progress;
  reader.input.init_source = NoSource;
  reader.input.fill_input_buffer = OnEndOfData;
  reader.input.skip_input_data = Skip;
  reader.input.resync_to_restart = jpeg_resync_to_restart;
  reader.input.term_source = NoSource;
  reader.input.next_input_byte = reader.source.bytes.data();
  reader.input.bytes_in_buffer = reader.source.bytes.size();
  jpeg.src = &reader.input;
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xffff);
}

// Adobe's CMYK files hold inverted ink; Pillow takes every four-component JPEG to be one, and its
// CMYK to RGB is white minus ink, scaled by white minus black with the rounded division by 255.
void InvertedCmykToRgb(const uint8_t* cmyk, size_t width, uint8_t* rgb) {
  for (size_t x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int scaled = (255 - cmyk[c]) * white + 128;
      rgb[c] = static_cast<uint8_t>(white - ((scaled + (scaled >> 8)) >> 8));
    }
  }
}

// Several EXIF segments are parts of one block and the last XMP packet counts, as in Pillow.
int JpegOrientation(const jpeg_decompress_struct& jpeg) {
  std::vector<uint8_t> exif;
  std::string_view xmp;
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const std::span<const uint8_t> data(marker->data, marker->data_length);
    const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
    if (HasExifPrefix(data) && exif.size() < kMaxExifBytes) {
      exif.insert(exif.end(), data.begin() + kExifPrefix.size(), data.end());
    } else if (text.starts_with(kXmpPrefix)) {
      xmp = text.substr(kXmpPrefix.size());
    }
  }
  return ReadOrientation({.exif = exif, .xmp = xmp});
}

void ReadRows(JpegReader& reader) {
  jpeg_decompress_struct& jpeg = reader.jpeg;
  const size_t width = jpeg.output_width;
  while (jpeg.output_scanline < jpeg.output_height) {
    const size_t y = jpeg.output_scanline;
    uint8_t* row = reader.resizer != nullptr ? reader.rgb_row.data()
                                             : &reader.decoded.image.pixels[y * width * 3];
    if (jpeg.out_color_space == JCS_CMYK) {
      JSAMPROW target = reader.cmyk_row.data();
      jpeg_read_scanlines(&jpeg, &target, 1);
      InvertedCmykToRgb(target, width, row);
    } else {
      jpeg_read_scanlines(&jpeg, &row, 1);
    }
    if (reader.resizer != nullptr) reader.resizer->Add(static_cast<int>(y), row);
  }
}

// libjpeg keeps the coefficients of a picture that comes in several scans, 16 bits each.
int64_t CoefficientBytes(jpeg_decompress_struct& jpeg) {
  if (!jpeg_has_multiple_scans(&jpeg)) return 0;
  int64_t blocks = 0;
  for (int i = 0; i < jpeg.num_components; ++i) {
    const jpeg_component_info& component = jpeg.comp_info[i];
    blocks += int64_t{component.width_in_blocks} * component.height_in_blocks;
  }
  return blocks * DCTSIZE2 * static_cast<int64_t>(sizeof(JCOEF));
}

// Takes the memory that the decoding needs, or says why it may not.
Status Prepare(JpegReader& reader) {
  jpeg_decompress_struct& jpeg = reader.jpeg;
  const ImageSource& source = reader.source;
  const int64_t width = jpeg.image_width;
  const int64_t height = jpeg.image_height;
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, width, height));
  DecodedImage& decoded = reader.decoded;
  decoded.orientation = source.options.orient ? JpegOrientation(jpeg) : 1;
  if (jpeg.num_components == 4) reader.cmyk_row.resize(static_cast<size_t>(width) * 4);
  const int64_t coefficients = CoefficientBytes(jpeg);
  reader.resizer =
      ResizerFor(source, static_cast<int>(width), static_cast<int>(height), decoded.orientation);
  if (reader.resizer == nullptr) {
    return AllocateImage(source, width, height, &decoded.image, 3, coefficients);
  }
  decoded.fitted = true;
  reader.rgb_row.resize(static_cast<size_t>(width) * 3);
  return CheckDecodeBytes(source, width, height, coefficients + reader.resizer->held_bytes());
}

// False with reader.failure set when the file cannot be read.
bool Read(JpegReader& reader) {
  jpeg_decompress_struct& jpeg = reader.jpeg;
  if (setjmp(reader.jump) != 0) return false;
  SetUp(reader);
  jpeg_read_header(&jpeg, TRUE);
  if (jpeg.num_components == 4) {
    jpeg.out_color_space = JCS_CMYK;
  } else if (jpeg.num_components == 1 || jpeg.num_components == 3) {
    jpeg.out_color_space = JCS_RGB;
  } else {
    Fail(reader, StatusCode::kUnsupported, "unsupported",
         "it has neither 1 (grey), 3 (colour) nor 4 (CMYK) components");
  }
  reader.failure = Prepare(reader);
  if (!reader.failure.ok()) return false;
  jpeg_start_decompress(&jpeg);
  ReadRows(reader);
  jpeg_finish_decompress(&jpeg);
  return true;
}

}  // namespace

Result<DecodedImage> DecodeJpeg(const ImageSource& source) {
  JpegReader reader(source);
  if (!Read(reader)) return std::move(reader.failure);
  if (reader.resizer != nullptr) reader.decoded.image = reader.resizer->Take();
  return std::move(reader.decoded);
}

}  // namespace fastvlm
