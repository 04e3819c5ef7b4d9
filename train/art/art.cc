#include "train/art/art.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "train/art/cache.h"

namespace fastvlm::train {
namespace {

// More than any cache needs; they keep the sums of LayoutOf far from overflow.
constexpr uint32_t kMaxConcepts = 1 << 16;
constexpr uint32_t kMaxStyles = 256;
constexpr uint32_t kMaxFonts = 1024;
constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 32;
constexpr int kMaxGlyphSide = 1024;
constexpr float kMaxAdvance = 1024;

constexpr const char* kRemake = "make it again with: fastvlm-train art";

template <typename... Args>
Status Damaged(const std::string& path, fmt::format_string<Args...> format, Args&&... args) {
  return Error(StatusCode::kDataError, "{}: {}; {}", path,
               fmt::format(format, std::forward<Args>(args)...), kRemake);
}

Status CheckHeader(const std::string& path, const CacheHeader& header, uint64_t file_bytes) {
  if (header.magic != kCacheMagic) {
    return Error(StatusCode::kDataError, "{}: not an art cache; {}", path, kRemake);
  }
  if (header.version != kCacheVersion || header.sprite_side != kSpriteSide ||
      header.glyph_em != kGlyphEm) {
    return Damaged(path,
                   "art cache of version {} ({} px, {} px per em), this program reads version {} "
                   "({} px, {} px per em)",
                   header.version, header.sprite_side, header.glyph_em, kCacheVersion, kSpriteSide,
                   kGlyphEm);
  }
  if (header.concepts == 0 || header.concepts > kMaxConcepts || header.styles == 0 ||
      header.styles > kMaxStyles || header.fonts == 0 || header.fonts > kMaxFonts ||
      header.pictures > header.concepts * header.styles || header.text_bytes > kMaxSectionBytes ||
      header.alpha_bytes > kMaxSectionBytes) {
    return Damaged(path, "impossible counts in the header of the art cache");
  }
  const CacheLayout layout = LayoutOf(header);
  if (layout.end != file_bytes) {
    return Damaged(path, "art cache of {} bytes, expected {}: it is cut off or damaged", file_bytes,
                   layout.end);
  }
  return {};
}

// Reads strings and bytes one after the other; after the end there is nothing but nullopt.
class TextReader {
 public:
  explicit TextReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // A byte of at most `max`.
  std::optional<uint8_t> Byte(uint8_t max) {
    if (bytes_.empty() || bytes_[0] > max) return std::nullopt;
    const uint8_t byte = bytes_[0];
    bytes_ = bytes_.subspan(1);
    return byte;
  }

  // Not empty.
  bool String(std::string* out) {
    if (bytes_.size() < 2) return false;
    const size_t length = size_t{bytes_[0]} | size_t{bytes_[1]} << 8;
    if (length == 0 || bytes_.size() - 2 < length) return false;
    out->assign(reinterpret_cast<const char*>(bytes_.data()) + 2, length);
    bytes_ = bytes_.subspan(2 + length);
    return true;
  }

  bool AtEnd() const { return bytes_.empty(); }

 private:
  std::span<const uint8_t> bytes_;
};

bool ReadConcept(TextReader* reader, Concept* out) {
  if (!reader->String(&out->category) || !reader->String(&out->name) ||
      !reader->String(&out->plural) || !reader->String(&out->article)) {
    return false;
  }
  const std::optional<uint8_t> number = reader->Byte(uint8_t(Number::kMass));
  if (!number) return false;
  out->number = Number(*number);
  return true;
}

bool ReadStyle(TextReader* reader, Style* out) {
  if (!reader->String(&out->name)) return false;
  const std::optional<uint8_t> use = reader->Byte(2);
  out->held_out = use == 1;
  out->training_only = use == 2;
  return use.has_value();
}

bool ReadFont(TextReader* reader, Font* out) {
  if (!reader->String(&out->name)) return false;
  const std::optional<uint8_t> held_out = reader->Byte(1);
  out->held_out = held_out == 1;
  return held_out.has_value();
}

template <typename T>
std::vector<T> CopyRecords(std::span<const uint8_t> bytes, uint64_t offset, size_t count) {
  std::vector<T> records(count);
  std::memcpy(records.data(), bytes.data() + offset, count * sizeof(T));
  return records;
}

bool GlyphFits(const CacheGlyph& glyph, uint64_t alpha_bytes) {
  if (glyph.width < 0 || glyph.width > kMaxGlyphSide || glyph.height < 0 ||
      glyph.height > kMaxGlyphSide || std::abs(int64_t{glyph.left}) > kMaxGlyphSide ||
      std::abs(int64_t{glyph.top}) > kMaxGlyphSide) {
    return false;
  }
  const uint64_t pixels = uint64_t(glyph.width) * uint64_t(glyph.height);
  return glyph.alpha <= alpha_bytes && pixels <= alpha_bytes - glyph.alpha && glyph.advance >= 0 &&
         glyph.advance <= kMaxAdvance;
}

}  // namespace

Result<Art> Art::Open(const std::string& path) {
  Result<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) {
    return Error(file.status().code(), "{}; {}", file.status().message(), kRemake);
  }
  Art art;
  art.file_ = std::move(file).value();
  const std::span<const uint8_t> bytes = art.file_.bytes();
  CacheHeader header;
  if (bytes.size() < sizeof(header)) {
    return Damaged(path, "art cache of {} bytes, shorter than its header", bytes.size());
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  FASTVLM_RETURN_IF_ERROR(CheckHeader(path, header, bytes.size()));
  if (CacheChecksum(bytes.subspan(sizeof(header))) != header.checksum) {
    return Damaged(path, "the checksum of the art cache is wrong, the file is damaged");
  }
  const CacheLayout layout = LayoutOf(header);

  TextReader reader(bytes.subspan(layout.text, header.text_bytes));
  art.concepts_.resize(header.concepts);
  art.styles_.resize(header.styles);
  art.fonts_.resize(header.fonts);
  bool readable = true;
  for (Concept& one : art.concepts_) readable = readable && ReadConcept(&reader, &one);
  for (Style& style : art.styles_) readable = readable && ReadStyle(&reader, &style);
  for (Font& font : art.fonts_) readable = readable && ReadFont(&reader, &font);
  if (!readable || !reader.AtEnd()) return Damaged(path, "damaged names in the art cache");

  for (const CacheGlyph& one :
       CopyRecords<CacheGlyph>(bytes, layout.glyphs, size_t{header.fonts} * kCharacters)) {
    if (one.present == 0) {
      art.glyphs_.push_back({.width = kNoGlyph});
      continue;
    }
    if (!GlyphFits(one, header.alpha_bytes)) return Damaged(path, "damaged glyph in the art cache");
    art.glyphs_.push_back({one.width, one.height, one.left, one.top, one.advance,
                           bytes.data() + layout.alpha + one.alpha});
  }
  for (uint32_t place :
       CopyRecords<uint32_t>(bytes, layout.sprites, size_t{header.concepts} * header.styles)) {
    if (place > header.pictures) return Damaged(path, "damaged sprite table in the art cache");
    art.sprites_.push_back(place == 0 ? nullptr
                                      : bytes.data() + layout.pictures +
                                            uint64_t{place - 1} * kPictureBytes);
  }
  return art;
}

const uint8_t* Art::Sprite(int concept_index, int style) const {
  FASTVLM_CHECK(concept_index >= 0 && size_t(concept_index) < concepts_.size());
  FASTVLM_CHECK(style >= 0 && size_t(style) < styles_.size());
  return sprites_[size_t(concept_index) * styles_.size() + size_t(style)];
}

const Glyph* Art::FindGlyph(int font, char character) const {
  FASTVLM_CHECK(font >= 0 && size_t(font) < fonts_.size());
  if (character < kFirstCharacter || character >= kFirstCharacter + kCharacters) return nullptr;
  const Glyph& glyph = glyphs_[size_t(font) * kCharacters + size_t(character - kFirstCharacter)];
  return glyph.width == kNoGlyph ? nullptr : &glyph;
}

}  // namespace fastvlm::train
