// PNM: the portable bitmaps, greymaps and pixmaps P1 to P6, of up to 16 bits. As in Pillow, a value
// v of m becomes round(v / m * 255), halves to even; grey above 8 bits is brought to 16 bits so and
// keeps the high byte.
// Source: the formats pbm, pgm and ppm of netpbm.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "image/decoder.h"

namespace fastvlm {
namespace {

constexpr uint32_t kMaxPnmLevel = 65535;

struct PnmHeader {
  int kind = 0;  // 1..6
  int64_t width = 0;
  int64_t height = 0;
  uint32_t max = 1;
  bool plain() const { return kind <= 3; }
  bool bitmap() const { return kind == 1 || kind == 4; }
  size_t channels() const { return kind == 3 || kind == 6 ? 3 : 1; }
};

bool IsBlank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(uint8_t c) { return c >= '0' && c <= '9'; }

// The numbers of a header and of plain pixels, between blanks and comments.
class PnmText {
 public:
  PnmText(std::span<const uint8_t> bytes, size_t position) : bytes_(bytes), position_(position) {}

  size_t position() const { return position_; }
  bool at_end() const { return position_ >= bytes_.size(); }

  void SkipBlanks() {
    while (!at_end() && (IsBlank(bytes_[position_]) || bytes_[position_] == '#')) {
      if (bytes_[position_] == '#') {
        while (!at_end() && bytes_[position_] != '\n' && bytes_[position_] != '\r') ++position_;
      } else {
        ++position_;
      }
    }
  }

  // A number of at most ten digits.
  std::optional<int64_t> Number() {
    SkipBlanks();
    int64_t value = 0;
    const size_t begin = position_;
    while (!at_end() && IsDigit(bytes_[position_]) && position_ - begin < 10) {
      value = value * 10 + (bytes_[position_++] - '0');
    }
    if (position_ == begin || (!at_end() && IsDigit(bytes_[position_]))) return std::nullopt;
    return value;
  }

  // A digit of a plain bitmap; they need no blanks between them.
  std::optional<int> Bit() {
    SkipBlanks();
    if (at_end() || (bytes_[position_] != '0' && bytes_[position_] != '1')) return std::nullopt;
    return bytes_[position_++] - '0';
  }

  // The single blank behind a header.
  bool Blank() { return !at_end() && IsBlank(bytes_[position_++]); }

 private:
  std::span<const uint8_t> bytes_;
  size_t position_;
};

Status BadPnm(const ImageSource& source, bool truncated, const char* what) {
  return Error(StatusCode::kDataError, "{}: {} PNM: {}", source.name,
               truncated ? "truncated" : "damaged", what);
}

Result<PnmHeader> ReadPnmHeader(const ImageSource& source, PnmText* text) {
  PnmHeader header;
  header.kind = source.bytes[1] - '0';
  const std::optional<int64_t> width = text->Number();
  const std::optional<int64_t> height = text->Number();
  if (!width || !height) {
    return BadPnm(source, text->at_end(), "expected the width and the height in its header");
  }
  header.width = *width;
  header.height = *height;
  FASTVLM_RETURN_IF_ERROR(CheckImageSize(source, header.width, header.height));
  if (!header.bitmap()) {
    const std::optional<int64_t> max = text->Number();
    if (!max || *max < 1 || *max > kMaxPnmLevel) {
      return BadPnm(source, text->at_end(), "expected a largest value of 1 to 65535 in its header");
    }
    header.max = static_cast<uint32_t>(*max);
  }
  if (!text->Blank()) return BadPnm(source, text->at_end(), "expected a blank behind its header");
  return header;
}

// The level of each value; what is above the largest one is white.
std::vector<uint8_t> LevelsOf(const PnmHeader& header) {
  const bool high_byte = header.max > 255 && header.channels() == 1;
  const double top = high_byte ? kMaxPnmLevel : 255;
  std::vector<uint8_t> levels(header.max < 256 ? 256 : kMaxPnmLevel + 1, 255);
  for (uint32_t value = 0; value <= header.max; ++value) {
    // The rounding of the default mode is that of Python.
    const double level = std::nearbyint(value / static_cast<double>(header.max) * top);
    levels[value] = static_cast<uint8_t>(static_cast<int>(level) >> (high_byte ? 8 : 0));
  }
  return levels;
}

void PutLevel(uint8_t level, size_t index, size_t channels, Image* image) {
  if (channels == 3) {
    image->pixels[index] = level;
  } else {
    std::memset(&image->pixels[index * 3], level, 3);
  }
}

Status ReadPlain(const ImageSource& source, const PnmHeader& header, PnmText* text, Image* image) {
  const size_t values = image->pixels.size() / (header.channels() == 3 ? 1 : 3);
  const std::vector<uint8_t> levels = LevelsOf(header);
  for (size_t i = 0; i < values; ++i) {
    std::optional<int64_t> value;
    if (header.bitmap()) {
      value = text->Bit();
    } else {
      value = text->Number();
    }
    if (!value) return BadPnm(source, text->at_end(), "expected a number for each value");
    if (*value > header.max) return BadPnm(source, false, "a value is above the largest one");
    const uint8_t level =
        header.bitmap() ? (*value == 0 ? 255 : 0) : levels[static_cast<size_t>(*value)];
    PutLevel(level, i, header.channels(), image);
  }
  return Status();
}

Status ReadBinary(const ImageSource& source, const PnmHeader& header, size_t position,
                  Image* image) {
  const std::span<const uint8_t> data = source.bytes.subspan(position);
  const size_t width = static_cast<size_t>(header.width);
  const size_t height = static_cast<size_t>(header.height);
  const size_t value_bytes = header.max < 256 ? 1 : 2;
  const size_t stride = header.bitmap() ? (width + 7) / 8 : width * header.channels() * value_bytes;
  if (data.size() < stride * height) {
    return BadPnm(source, true, "the file ends before the last pixel");
  }
  const std::vector<uint8_t> levels = LevelsOf(header);
  if (header.bitmap()) {
    for (size_t i = 0; i < width * height; ++i) {
      const size_t x = i % width;
      const int bit = data[i / width * stride + x / 8] >> (7 - x % 8) & 1;
      PutLevel(bit == 0 ? 255 : 0, i, 1, image);
    }
    return Status();
  }
  for (size_t i = 0; i < width * height * header.channels(); ++i) {
    const size_t value = value_bytes == 1 ? data[i] : size_t{data[2 * i]} << 8 | data[2 * i + 1];
    PutLevel(levels[value], i, header.channels(), image);
  }
  return Status();
}

}  // namespace

Result<DecodedImage> DecodePnm(const ImageSource& source) {
  PnmText text(source.bytes, 2);
  FASTVLM_ASSIGN_OR_RETURN(const PnmHeader header, ReadPnmHeader(source, &text));
  DecodedImage decoded;
  FASTVLM_RETURN_IF_ERROR(AllocateImage(source, header.width, header.height, &decoded.image));
  FASTVLM_RETURN_IF_ERROR(header.plain()
                              ? ReadPlain(source, header, &text, &decoded.image)
                              : ReadBinary(source, header, text.position(), &decoded.image));
  return decoded;
}

}  // namespace fastvlm
