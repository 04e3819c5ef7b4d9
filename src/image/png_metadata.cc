#include "image/png_metadata.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "image/orientation.h"

namespace fastvlm {
namespace {

constexpr std::string_view kXmpKeyword = "XML:com.adobe.xmp";
constexpr std::string_view kExifKeyword = "Raw profile type exif";
constexpr std::string_view kApp1Keyword = "Raw profile type APP1";

std::string_view TextOf(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Cuts `text` behind its first zero byte and returns what stands before it; nothing if there is
// none.
std::optional<std::string_view> TakeString(std::string_view* text) {
  const size_t end = text->find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text->substr(0, end);
  text->remove_prefix(end + 1);
  return taken;
}

// The value of a hexadecimal digit, or -1.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::vector<uint8_t> ParseRawProfile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::vector<uint8_t> bytes;
  int high = -1;
  for (char c : text) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    const int digit = HexDigit(c);
    if (digit < 0) return {};
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes;
}

void PngMetadata::Add(std::string_view type, std::span<const uint8_t> data) {
  if (type == "eXIf") {
    exif_chunk_ = data;
  } else if (type == "tEXt" || type == "zTXt" || type == "iTXt") {
    AddText(type, TextOf(data));
  }
}

void PngMetadata::AddText(std::string_view type, std::string_view data) {
  const std::optional<std::string_view> keyword = TakeString(&data);
  if (keyword != kXmpKeyword && keyword != kExifKeyword && keyword != kApp1Keyword) return;
  bool compressed = type == "zTXt";
  if (type == "zTXt") {
    if (data.empty() || data[0] != 0) return;  // no method but deflate is known
    data.remove_prefix(1);
  } else if (type == "iTXt") {
    if (data.size() < 2) return;
    compressed = data[0] != 0;
    if (compressed && data[1] != 0) return;
    data.remove_prefix(2);
    if (!TakeString(&data) || !TakeString(&data)) return;  // the language and its keyword
  }
  std::optional<std::string> text;
  if (compressed) {
    text = Inflate(data);
  } else if (data.size() <= kMaxTextBytes) {
    text = std::string(data);
  }
  if (!text.has_value()) return;
  if (keyword == kXmpKeyword) {
    xmp_ = std::move(*text);
  } else if (keyword == kExifKeyword) {
    exif_profile_ = ParseRawProfile(*text);
  } else {
    app1_profile_ = ParseRawProfile(*text);
  }
}

std::optional<std::string> PngMetadata::Inflate(std::string_view compressed) {
  const size_t limit = std::min(kMaxTextBytes, kMaxInflatedBytes - inflated_bytes_);
  if (limit == 0 || compressed.size() > std::numeric_limits<uInt>::max()) return std::nullopt;
  z_stream stream = {};
  // zlib reads these bytes and does not write them.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  if (inflateInit(&stream) != Z_OK) return std::nullopt;
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  std::string text;
  int state = Z_OK;
  while (state == Z_OK && text.size() < limit) {
    Bytef block[16384];
    stream.next_out = block;
    stream.avail_out = static_cast<uInt>(std::min(sizeof(block), limit - text.size()));
    state = inflate(&stream, Z_NO_FLUSH);
    text.append(reinterpret_cast<const char*>(block), static_cast<size_t>(stream.next_out - block));
  }
  inflated_bytes_ += text.size();
  // Z_BUF_ERROR is a stream without its end: Pillow uses what there is.
  if (state != Z_STREAM_END && state != Z_BUF_ERROR) return std::nullopt;
  return text;
}

int PngMetadata::Orientation() const {
  OrientationSources sources;
  sources.xmp = xmp_;
  const std::span<const uint8_t> app1 = app1_profile_;
  const bool app1_is_xmp = TextOf(app1).starts_with(kXmpPrefix);
  if (app1_is_xmp && xmp_.empty()) sources.xmp = TextOf(app1.subspan(kXmpPrefix.size()));
  if (exif_chunk_.has_value()) {
    sources.exif = *exif_chunk_;
  } else if (exif_profile_.has_value()) {
    sources.exif = *exif_profile_;
  } else if (!app1_is_xmp) {
    sources.exif = app1;
  }
  return ReadOrientation(sources);
}

}  // namespace fastvlm
