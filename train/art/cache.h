// The art cache: one little-endian file, mapped when it is used.
//
//   CacheHeader
//   text     [text_bytes]  strings as u16 length + UTF-8, and single bytes:
//            per concept   category, name, plural, article, u8 number
//            per style     name, u8: 0, 1 held out, 2 training only;   per font   name, u8 held_out
//   glyphs   [fonts, kCharacters] CacheGlyph
//   sprites  [concepts, styles] u32: 0 for none, else 1 + its place among the pictures
//   alpha    [alpha_bytes] coverage of all glyphs
//   pictures [pictures, kSpriteSide, kSpriteSide, 4]
// Every section begins at a multiple of 64 bytes; the bytes between are 0.
#ifndef FASTVLM_TRAIN_ART_CACHE_H_
#define FASTVLM_TRAIN_ART_CACHE_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/art/art.h"
#include "train/art/glyphs.h"

namespace fastvlm::train {

inline constexpr std::array<char, 8> kCacheMagic = {'F', 'V', 'L', 'M', '-', 'A', 'R', 'T'};
inline constexpr uint32_t kCacheVersion = 2;
inline constexpr uint64_t kCacheAlignment = 64;
inline constexpr size_t kPictureBytes = size_t{kSpriteSide} * kSpriteSide * 4;

struct CacheHeader {
  std::array<char, 8> magic = kCacheMagic;
  uint32_t version = kCacheVersion;
  uint32_t concepts = 0, styles = 0, fonts = 0, pictures = 0;
  uint32_t sprite_side = kSpriteSide, glyph_em = kGlyphEm;
  uint32_t zero = 0;
  uint64_t text_bytes = 0, alpha_bytes = 0;
  uint64_t checksum = 0;  // of all bytes after the header
};
static_assert(sizeof(CacheHeader) == 64);

struct CacheGlyph {
  int32_t width = 0, height = 0, left = 0, top = 0;  // as in Glyph
  float advance = 0;
  uint32_t present = 0;
  uint64_t alpha = 0;  // where in the alpha section
};
static_assert(sizeof(CacheGlyph) == 32);

// Where the sections begin, and where the file ends. Requires counts within the limits of
// Art::Open.
struct CacheLayout {
  uint64_t text = 0, glyphs = 0, sprites = 0, alpha = 0, pictures = 0, end = 0;
};
CacheLayout LayoutOf(const CacheHeader& header);

// FNV-1a over 64-bit words: finds damage, not malice. The size is a multiple of 8.
uint64_t CacheChecksum(std::span<const uint8_t> bytes);

struct CacheContents {
  std::vector<Concept> concepts;
  std::vector<Style> styles;
  std::vector<Font> fonts;
  std::vector<std::vector<RenderedGlyph>> glyphs;  // [font][character - kFirstCharacter]
  std::vector<std::vector<uint8_t>> sprites;       // [concept * styles + style], empty for none
};

// Written atomically: `path` is either the old file or the whole new one. The sprites are released
// as they are copied.
Status WriteCache(const std::string& path, CacheContents contents);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_CACHE_H_
