#include "train/art/cache.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/file.h"

namespace fastvlm::train {
namespace {

static_assert(std::endian::native == std::endian::little, "the cache is written as it is mapped");

uint64_t Align(uint64_t offset) {
  return (offset + kCacheAlignment - 1) / kCacheAlignment * kCacheAlignment;
}

void AppendString(const std::string& text, std::vector<uint8_t>* out) {
  FASTVLM_CHECK(text.size() <= UINT16_MAX);
  out->push_back(uint8_t(text.size() & 0xff));
  out->push_back(uint8_t(text.size() >> 8));
  out->insert(out->end(), text.begin(), text.end());
}

std::vector<uint8_t> TextSection(const CacheContents& contents) {
  std::vector<uint8_t> text;
  for (const Concept& one : contents.concepts) {
    for (const std::string* field : {&one.category, &one.name, &one.plural, &one.article}) {
      AppendString(*field, &text);
    }
    text.push_back(uint8_t(one.number));
  }
  for (const Style& style : contents.styles) {
    AppendString(style.name, &text);
    text.push_back(style.held_out ? 1 : style.training_only ? 2 : 0);
  }
  for (const Font& font : contents.fonts) {
    AppendString(font.name, &text);
    text.push_back(font.held_out ? 1 : 0);
  }
  return text;
}

struct GlyphSections {
  std::vector<CacheGlyph> glyphs;
  std::vector<uint8_t> alpha;
};

GlyphSections CollectGlyphs(const CacheContents& contents) {
  GlyphSections sections;
  for (const auto& font : contents.glyphs) {
    FASTVLM_CHECK(font.size() == size_t{kCharacters});
    for (const RenderedGlyph& one : font) {
      const Glyph& glyph = one.glyph;
      sections.glyphs.push_back({glyph.width, glyph.height, glyph.left, glyph.top, glyph.advance,
                                 one.present ? 1u : 0u, sections.alpha.size()});
      sections.alpha.insert(sections.alpha.end(), one.alpha.begin(), one.alpha.end());
    }
  }
  return sections;
}

void Put(const void* data, size_t bytes, uint64_t offset, std::vector<uint8_t>* file) {
  FASTVLM_CHECK(offset + bytes <= file->size());
  if (bytes > 0) std::memcpy(file->data() + offset, data, bytes);
}

}  // namespace

CacheLayout LayoutOf(const CacheHeader& header) {
  CacheLayout layout;
  layout.text = sizeof(CacheHeader);
  layout.glyphs = Align(layout.text + header.text_bytes);
  layout.sprites = Align(layout.glyphs + uint64_t{header.fonts} * kCharacters * sizeof(CacheGlyph));
  layout.alpha = Align(layout.sprites + uint64_t{header.concepts} * header.styles * 4);
  layout.pictures = Align(layout.alpha + header.alpha_bytes);
  layout.end = layout.pictures + uint64_t{header.pictures} * kPictureBytes;
  return layout;
}

uint64_t CacheChecksum(std::span<const uint8_t> bytes) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a's offset basis and prime
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x100000001b3;
  }
  return hash;
}

Status WriteCache(const std::string& path, CacheContents contents) {
  FASTVLM_CHECK(contents.sprites.size() == contents.concepts.size() * contents.styles.size());
  FASTVLM_CHECK(contents.glyphs.size() == contents.fonts.size());
  const std::vector<uint8_t> text = TextSection(contents);
  const GlyphSections glyphs = CollectGlyphs(contents);
  CacheHeader header;
  header.concepts = uint32_t(contents.concepts.size());
  header.styles = uint32_t(contents.styles.size());
  header.fonts = uint32_t(contents.fonts.size());
  header.text_bytes = text.size();
  header.alpha_bytes = glyphs.alpha.size();
  std::vector<uint32_t> places;
  for (const auto& sprite : contents.sprites) {
    places.push_back(sprite.empty() ? 0 : ++header.pictures);
  }
  const CacheLayout layout = LayoutOf(header);
  std::vector<uint8_t> file(layout.end);
  Put(text.data(), text.size(), layout.text, &file);
  Put(glyphs.glyphs.data(), glyphs.glyphs.size() * sizeof(CacheGlyph), layout.glyphs, &file);
  Put(places.data(), places.size() * sizeof(uint32_t), layout.sprites, &file);
  Put(glyphs.alpha.data(), glyphs.alpha.size(), layout.alpha, &file);
  uint64_t offset = layout.pictures;
  for (auto& sprite : contents.sprites) {
    if (sprite.empty()) continue;
    FASTVLM_CHECK(sprite.size() == kPictureBytes);
    Put(sprite.data(), sprite.size(), offset, &file);
    offset += kPictureBytes;
    std::vector<uint8_t>().swap(sprite);
  }
  header.checksum = CacheChecksum(std::span<const uint8_t>(file).subspan(sizeof(CacheHeader)));
  Put(&header, sizeof(header), 0, &file);
  const std::span<const uint8_t> whole(file);
  return WriteFileAtomically(path, {&whole, 1});
}

}  // namespace fastvlm::train
