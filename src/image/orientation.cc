#include "image/orientation.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace fastvlm {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kTypeShort = 3;
constexpr uint32_t kTypeLong = 4;
constexpr size_t kEntryBytes = 12;

// Integers of a TIFF block in its byte order; a read beyond the end gives 0.
class TiffBytes {
 public:
  TiffBytes(std::span<const uint8_t> bytes, bool big_endian)
      : bytes_(bytes), big_endian_(big_endian) {}

  uint32_t U16(size_t at) const { return Read(at, 2); }
  uint32_t U32(size_t at) const { return Read(at, 4); }
  bool Has(size_t at, size_t size) const {
    return at <= bytes_.size() && size <= bytes_.size() - at;
  }

 private:
  uint32_t Read(size_t at, size_t size) const {
    if (!Has(at, size)) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | bytes_[at + (big_endian_ ? i : size - 1 - i)];
    }
    return value;
  }

  std::span<const uint8_t> bytes_;
  bool big_endian_;
};

int KnownOr1(uint32_t value) { return value >= 1 && value <= 8 ? static_cast<int>(value) : 1; }

// How far to go in the source, in pixels, for one step right and for one step down in the result.
struct Walk {
  int64_t start;
  int64_t right;
  int64_t down;
};

Walk WalkOf(int64_t width, int64_t height, int orientation) {
  const int64_t last_row = (height - 1) * width;
  const int64_t last_column = width - 1;
  switch (orientation) {
    case 2:
      return {last_column, -1, width};
    case 3:
      return {last_row + last_column, -1, -width};
    case 4:
      return {last_row, 1, -width};
    case 5:
      return {0, width, 1};
    case 6:
      return {last_row, -width, 1};
    case 7:
      return {last_row + last_column, -width, -1};
    case 8:
      return {last_column, width, -1};
    default:
      return {0, 1, width};
  }
}

}  // namespace

bool HasExifPrefix(std::span<const uint8_t> bytes) {
  return bytes.size() >= kExifPrefix.size() &&
         std::memcmp(bytes.data(), kExifPrefix.data(), kExifPrefix.size()) == 0;
}

int ReadOrientation(const OrientationSources& sources) {
  std::optional<int> orientation = ReadExifOrientation(sources.exif);
  if (!orientation.has_value()) orientation = ReadXmpOrientation(sources.xmp);
  return orientation.value_or(1);
}

std::optional<int> ReadExifOrientation(std::span<const uint8_t> exif) {
  // Some programs put the prefix there twice; Pillow steps over two as well.
  for (int i = 0; i < 2 && HasExifPrefix(exif); ++i) exif = exif.subspan(kExifPrefix.size());
  if (exif.size() < 8) return std::nullopt;
  const bool big_endian = exif[0] == 'M' && exif[1] == 'M';
  if (!big_endian && !(exif[0] == 'I' && exif[1] == 'I')) return std::nullopt;
  const TiffBytes tiff(exif, big_endian);
  if (tiff.U16(2) != 42) return std::nullopt;
  const size_t directory = tiff.U32(4);
  const size_t entries = tiff.U16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (!tiff.Has(entry, kEntryBytes)) return std::nullopt;
    if (tiff.U16(entry) != kOrientationTag) continue;
    const uint32_t type = tiff.U16(entry + 2);
    if ((type != kTypeShort && type != kTypeLong) || tiff.U32(entry + 4) != 1) return 1;
    return KnownOr1(type == kTypeShort ? tiff.U16(entry + 8) : tiff.U32(entry + 8));
  }
  return std::nullopt;
}

std::optional<int> ReadXmpOrientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  while (true) {
    const size_t at = xmp.find(kName);
    if (at == std::string_view::npos) return std::nullopt;
    xmp.remove_prefix(at + kName.size());
    const size_t skipped = xmp.starts_with("=\"") ? 2 : xmp.starts_with(">") ? 1 : 0;
    if (skipped == 0 || xmp.size() <= skipped) continue;
    const char digit = xmp[skipped];
    if (digit >= '0' && digit <= '9') return KnownOr1(static_cast<uint32_t>(digit - '0'));
  }
}

Image ApplyOrientation(Image image, int orientation) {
  FASTVLM_CHECK(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return image;
  Image result;
  result.width = orientation >= 5 ? image.height : image.width;
  result.height = orientation >= 5 ? image.width : image.height;
  result.pixels.resize(image.pixels.size());
  const Walk walk = WalkOf(image.width, image.height, orientation);
  // A transposition reads down columns. Going square by square uses each cache line while it is
  // still in the cache.
  constexpr int kSquare = 32;
  for (int top = 0; top < result.height; top += kSquare) {
    const int bottom = std::min(top + kSquare, result.height);
    for (int left = 0; left < result.width; left += kSquare) {
      const int right = std::min(left + kSquare, result.width);
      for (int y = top; y < bottom; ++y) {
        int64_t from = walk.start + y * walk.down + left * walk.right;
        uint8_t* to = &result.pixels[(static_cast<size_t>(y) * result.width + left) * 3];
        for (int x = left; x < right; ++x, from += walk.right, to += 3) {
          std::memcpy(to, &image.pixels[static_cast<size_t>(from) * 3], 3);
        }
      }
    }
  }
  return result;
}

}  // namespace fastvlm
