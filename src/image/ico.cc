// ICO: the largest picture of an icon, which is a PNG or a bitmap. As in Pillow, of several of the
// same size the one with the fewest colours is taken.
// Source: Microsoft's ICONDIR and ICONDIRENTRY structures.
#include <algorithm>
#include <bit>
#include <tuple>
#include <vector>

#include "image/decoder.h"

namespace fastvlm {
namespace {

constexpr size_t kIconHeaderBytes = 6;
constexpr size_t kIconEntryBytes = 16;

size_t Little(std::span<const uint8_t> bytes, size_t at, size_t count) {
  size_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

struct IconEntry {
  size_t pixels = 0;
  size_t depth = 0;
  size_t offset = 0;
  size_t size = 0;
};

IconEntry ReadIconEntry(std::span<const uint8_t> bytes, size_t at) {
  const auto side = [&](size_t place) { return bytes[place] == 0 ? size_t{256} : bytes[place]; };
  IconEntry entry;
  entry.pixels = side(at) * side(at + 1);
  entry.depth = Little(bytes, at + 6, 2);
  // The number of colours stands there where the depth does not: 16 colours are 4 bits.
  if (entry.depth == 0 && bytes[at + 2] > 1) {
    entry.depth = static_cast<size_t>(std::bit_width(uint32_t{bytes[at + 2]} - 1));
  }
  if (entry.depth == 0) entry.depth = 256;
  entry.size = Little(bytes, at + 8, 4);
  entry.offset = Little(bytes, at + 12, 4);
  return entry;
}

}  // namespace

Result<DecodedImage> DecodeIco(const ImageSource& source) {
  const std::span<const uint8_t> bytes = source.bytes;
  const size_t count = bytes.size() < kIconHeaderBytes ? 0 : Little(bytes, 4, 2);
  const size_t end = kIconHeaderBytes + count * kIconEntryBytes;
  if (count == 0 || bytes.size() < end) {
    return Error(StatusCode::kDataError,
                 "{}: truncated or damaged ICO: {} bytes, and its list says {} pictures",
                 source.name, bytes.size(), count);
  }
  std::vector<IconEntry> entries;
  for (size_t at = kIconHeaderBytes; at < end; at += kIconEntryBytes) {
    entries.push_back(ReadIconEntry(bytes, at));
  }
  // The first of those that are best.
  const IconEntry best =
      *std::ranges::min_element(entries, [](const IconEntry& a, const IconEntry& b) {
        return a.pixels != b.pixels ? a.pixels > b.pixels : a.depth < b.depth;
      });
  if (best.offset > bytes.size() || best.size > bytes.size() - best.offset) {
    return Error(StatusCode::kDataError,
                 "{}: truncated ICO: its largest picture ends at byte {} of {}", source.name,
                 best.offset + best.size, bytes.size());
  }
  const ImageSource picture{bytes.subspan(best.offset, best.size), source.name, source.options};
  return SniffImageFormat(picture.bytes) == ImageFormat::kPng ? DecodePng(picture)
                                                              : DecodeIconBitmap(picture);
}

}  // namespace fastvlm
