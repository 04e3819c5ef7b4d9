// Art without drawings, for tests: real names, plain shapes, box glyphs.
#ifndef FASTVLM_TRAIN_SCENE_TEST_ART_H_
#define FASTVLM_TRAIN_SCENE_TEST_ART_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/temporary_directory.h"
#include "train/art/art.h"
#include "train/art/cache.h"
#include "train/art/concepts.h"
#include "train/scene/scene.h"

namespace fastvlm::train {

// Every sixth concept of the table, those with an odd grammar among them. Sprites are upright
// ellipses, cyan in the style "shown" and magenta in the style "hidden", which is held out.
// Characters are boxes of 40x70 pixels, 50 apart.
inline CacheContents TestContents() {
  CacheContents contents;
  const auto rows = ParseConcepts(ConceptTable(), "concepts.tsv");
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  for (size_t i = 0; i < rows->size(); ++i) {
    const Concept& about = (*rows)[i].about;
    if (i % 6 == 0 || about.number != Number::kCountable) contents.concepts.push_back(about);
  }
  contents.styles = {{"shown", false}, {"hidden", true}};
  contents.fonts = {{"boxes", false}, {"other boxes", true}};
  for (size_t i = 0; i < contents.concepts.size() * 2; ++i) {
    const int wide = 30 + static_cast<int>(i / 2) % 30, high = 89 - wide;
    std::vector<uint8_t> pixels(kPictureBytes);
    for (int y = 0; y < kSpriteSide; ++y) {
      for (int x = 0; x < kSpriteSide; ++x) {
        const int dx = (x - 64) * high, dy = (y - 64) * wide;
        if (dx * dx + dy * dy > wide * wide * high * high) continue;
        uint8_t* pixel = pixels.data() + (y * kSpriteSide + x) * 4;
        pixel[0] = i % 2 ? 255 : 0;
        pixel[1] = i % 2 ? 0 : 255;
        pixel[2] = pixel[3] = 255;
      }
    }
    contents.sprites.push_back(std::move(pixels));
  }
  for (int font = 0; font < 2; ++font) {
    std::vector<RenderedGlyph> glyphs(kCharacters);
    for (int i = 0; i < kCharacters; ++i) {
      const char character = static_cast<char>(kFirstCharacter + i);
      const bool known =
          (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z');
      if (!known) continue;
      RenderedGlyph& glyph = glyphs[static_cast<size_t>(i)];
      glyph.glyph = {40, 70, 5, 70, 50.0f, nullptr};
      glyph.alpha.assign(40 * 70, 255);
      glyph.present = true;
    }
    contents.glyphs.push_back(std::move(glyphs));
  }
  return contents;
}

inline const Art& TestArt() {
  static const Art* const art = [] {
    const TemporaryDirectory directory;
    const std::string path = directory.Path("test.cache");
    const Status written = WriteCache(path, TestContents());
    EXPECT_TRUE(written.ok()) << written.message();
    Result<Art> opened = Art::Open(path);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return new Art(std::move(opened).value());  // the mapping outlives the file
  }();
  return *art;
}

// What a scene has written in it; empty if nothing.
inline std::string TextOf(const Scene& scene) {
  std::string text;
  for (const Thing& thing : scene.things) {
    if (thing.kind == ThingKind::kCharacter) text += thing.words;
  }
  return text;
}

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_TEST_ART_H_
