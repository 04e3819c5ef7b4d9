#include "train/art/glyphs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/temporary_directory.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

constexpr char kFontDirectory[] = "/usr/share/fonts";

TEST(FontFilesTest, NamesAreUniqueAndSomeAreHeldOut) {
  std::set<std::string> names, files;
  int held_out = 0;
  for (const FontFile& file : FontFiles()) {
    EXPECT_TRUE(names.insert(file.font.name).second) << file.font.name;
    EXPECT_TRUE(files.insert(file.file).second) << file.file;
    held_out += file.font.held_out ? 1 : 0;
  }
  EXPECT_EQ(held_out, 3);
  EXPECT_EQ(names.size(), 18u);
}

TEST(FindFontFileTest, SearchesAtAnyDepth) {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory.Path("a/b"));
  directory.Write("a/b/X.ttf", "x");
  const FontFile font = {{"X", false}, "X.ttf", "fonts-x"};
  const auto path = FindFontFile(directory.path(), font);
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_EQ(*path, directory.Path("a/b/X.ttf"));
}

TEST(FindFontFileTest, AMissingFontNamesItsPackage) {
  TemporaryDirectory directory;
  const FontFile font = {{"X", false}, "X.ttf", "fonts-x"};
  for (const std::string& where : {directory.path(), directory.Path("none")}) {
    const auto path = FindFontFile(where, font);
    ASSERT_FALSE(path.ok());
    EXPECT_EQ(path.status().code(), StatusCode::kNotFound);
    EXPECT_THAT(path.status().message(), HasSubstr("X.ttf"));
    EXPECT_THAT(path.status().message(), HasSubstr("fonts-x"));
  }
}

TEST(RenderGlyphsTest, FilesThatAreNoFont) {
  TemporaryDirectory directory;
  directory.Write("words.ttf", "no font at all");
  directory.Write("empty.ttf", "");
  for (const char* name : {"words.ttf", "empty.ttf", "none.ttf"}) {
    const auto glyphs = RenderGlyphs(directory.Path(name));
    ASSERT_FALSE(glyphs.ok());
    EXPECT_EQ(glyphs.status().code(), StatusCode::kDataError);
    EXPECT_THAT(glyphs.status().message(), HasSubstr(directory.Path(name)));
  }
}

// Whatever fonts of the list are installed: on Debian librsvg itself brings one.
TEST(RenderGlyphsTest, LettersHaveTheShapesOfLetters) {
  int tested = 0;
  for (const FontFile& file : FontFiles()) {
    const auto path = FindFontFile(kFontDirectory, file);
    if (!path.ok()) continue;
    ++tested;
    const auto glyphs = RenderGlyphs(*path);
    ASSERT_TRUE(glyphs.ok()) << glyphs.status().message();
    ASSERT_EQ(glyphs->size(), size_t{kCharacters});
    const auto at = [&](char c) -> const RenderedGlyph& {
      return (*glyphs)[size_t(c - kFirstCharacter)];
    };
    EXPECT_TRUE(at(' ').present);
    EXPECT_EQ(at(' ').glyph.width, 0);
    EXPECT_GT(at(' ').glyph.advance, 0.1f * kGlyphEm);
    for (char c = '!'; c <= '~'; ++c) {
      const RenderedGlyph& one = at(c);
      ASSERT_TRUE(one.present) << path.value() << " " << c;
      ASSERT_EQ(one.alpha.size(), size_t(one.glyph.width) * size_t(one.glyph.height));
      EXPECT_GT(*std::max_element(one.alpha.begin(), one.alpha.end()), 128) << c;
    }
    // Capitals stand on the baseline, 0.6 to 0.8 em high; p reaches below it, a period does not.
    EXPECT_GT(at('H').glyph.height, 0.6 * kGlyphEm);
    EXPECT_LT(at('H').glyph.height, 0.8 * kGlyphEm);
    EXPECT_NEAR(at('H').glyph.top, at('H').glyph.height, 1);
    EXPECT_GT(at('p').glyph.height, at('p').glyph.top + 0.1 * kGlyphEm);
    EXPECT_LT(at('.').glyph.height, 0.3 * kGlyphEm);
    EXPECT_GT(at('W').glyph.width, at('l').glyph.width);
  }
  if (tested == 0) GTEST_SKIP() << "none of the fonts is below " << kFontDirectory;
}

}  // namespace
}  // namespace fastvlm::train
