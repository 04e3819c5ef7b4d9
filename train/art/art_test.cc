#include "train/art/art.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "support/temporary_directory.h"
#include "train/art/cache.h"

namespace fastvlm::train {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

using Bytes = std::vector<uint8_t>;

// Two concepts, two styles (the second lacks the first concept), one font with 'A' and a space.
CacheContents Contents() {
  CacheContents contents;
  contents.concepts.push_back({"red apple", "red apples", "a", "food", Number::kCountable});
  contents.concepts.push_back({"popcorn", "popcorn", "some", "food", Number::kMass});
  contents.styles.push_back({"noto", false});
  contents.styles.push_back({"openmoji", true});
  contents.fonts.push_back({"Some Sans", true});
  std::vector<RenderedGlyph> glyphs(kCharacters);
  glyphs[0].present = true;
  glyphs[0].glyph.advance = 24.5f;
  RenderedGlyph& a = glyphs['A' - kFirstCharacter];
  a.present = true;
  a.glyph = {.width = 3, .height = 2, .left = -1, .top = 2, .advance = 4.25f};
  a.alpha = {1, 2, 3, 4, 5, 6};
  contents.glyphs.push_back(glyphs);
  for (int i = 0; i < 4; ++i) contents.sprites.emplace_back();
  for (int i : {0, 2, 3}) contents.sprites[size_t(i)] = Bytes(kPictureBytes, uint8_t(10 + i));
  return contents;
}

class ArtTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteCache(path_, Contents()).ok());
    good_ = ReadBinaryFile(path_, size_t{1} << 30).value();
    std::memcpy(&header_, good_.data(), sizeof(header_));
    layout_ = LayoutOf(header_);
  }

  void ExpectError(const Bytes& file, const std::string& message) {
    directory_.Write("art.cache", {reinterpret_cast<const char*>(file.data()), file.size()});
    const auto art = Art::Open(path_);
    ASSERT_FALSE(art.ok()) << message;
    EXPECT_EQ(art.status().code(), StatusCode::kDataError);
    EXPECT_THAT(art.status().message(), HasSubstr(path_));
    EXPECT_THAT(art.status().message(), HasSubstr(message));
    EXPECT_THAT(art.status().message(), HasSubstr("fastvlm-train art"));
  }

  // The good file with other bytes and a right checksum: what a faulty writer would make.
  Bytes Forged(uint64_t offset, const Bytes& bytes) {
    Bytes file = good_;
    std::copy(bytes.begin(), bytes.end(), file.begin() + std::ptrdiff_t(offset));
    const uint64_t sum = CacheChecksum(std::span<const uint8_t>(file).subspan(sizeof(CacheHeader)));
    std::memcpy(file.data() + offsetof(CacheHeader, checksum), &sum, sizeof(sum));
    return file;
  }

  Bytes WithHeader(const std::function<void(CacheHeader*)>& change) {
    CacheHeader header = header_;
    change(&header);
    Bytes file = good_;
    std::memcpy(file.data(), &header, sizeof(header));
    return file;
  }

  uint64_t GlyphOffset(char character) const {
    return layout_.glyphs + uint64_t(character - kFirstCharacter) * sizeof(CacheGlyph);
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.Path("art.cache");
  Bytes good_;
  CacheHeader header_;
  CacheLayout layout_;
};

TEST_F(ArtTest, NamesComeBack) {
  const auto art = Art::Open(path_);
  ASSERT_TRUE(art.ok()) << art.status().message();
  ASSERT_EQ(art->concepts().size(), 2u);
  const Concept& apple = art->concepts()[0];
  EXPECT_EQ(apple.name, "red apple");
  EXPECT_EQ(apple.plural, "red apples");
  EXPECT_EQ(apple.article, "a");
  EXPECT_EQ(apple.category, "food");
  EXPECT_EQ(apple.number, Number::kCountable);
  EXPECT_EQ(art->concepts()[1].number, Number::kMass);
  ASSERT_EQ(art->styles().size(), 2u);
  EXPECT_EQ(art->styles()[0].name, "noto");
  EXPECT_FALSE(art->styles()[0].held_out);
  EXPECT_TRUE(art->styles()[1].held_out);
  ASSERT_EQ(art->fonts().size(), 1u);
  EXPECT_EQ(art->fonts()[0].name, "Some Sans");
  EXPECT_TRUE(art->fonts()[0].held_out);
}

TEST_F(ArtTest, SpritesComeBack) {
  auto opened = Art::Open(path_);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Art art = std::move(opened).value();  // what it points to must survive the move
  EXPECT_EQ(art.Sprite(0, 1), nullptr);
  for (int i : {0, 2, 3}) {
    const uint8_t* sprite = art.Sprite(i / 2, i % 2);
    ASSERT_NE(sprite, nullptr);
    EXPECT_EQ(Bytes(sprite, sprite + kPictureBytes), Bytes(kPictureBytes, uint8_t(10 + i)));
  }
}

TEST_F(ArtTest, GlyphsComeBack) {
  const auto art = Art::Open(path_);
  ASSERT_TRUE(art.ok()) << art.status().message();
  const Glyph* a = art->FindGlyph(0, 'A');
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->width, 3);
  EXPECT_EQ(a->height, 2);
  EXPECT_EQ(a->left, -1);
  EXPECT_EQ(a->top, 2);
  EXPECT_EQ(a->advance, 4.25f);
  EXPECT_EQ(Bytes(a->alpha, a->alpha + 6), (Bytes{1, 2, 3, 4, 5, 6}));
  const Glyph* space = art->FindGlyph(0, ' ');
  ASSERT_NE(space, nullptr);
  EXPECT_EQ(space->width, 0);
  EXPECT_EQ(space->advance, 24.5f);
  for (char absent : {'B', '~', '\n', char(0x7f), char(0xe4)}) {
    EXPECT_EQ(art->FindGlyph(0, absent), nullptr);
  }
}

TEST_F(ArtTest, AMissingFileSaysHowToMakeIt) {
  const auto art = Art::Open(directory_.Path("none"));
  ASSERT_FALSE(art.ok());
  EXPECT_EQ(art.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(art.status().message(), HasSubstr("fastvlm-train art"));
}

TEST_F(ArtTest, AFileCutAnywhereIsAnError) {
  for (uint64_t end : {uint64_t{0}, uint64_t{7}, uint64_t{63}}) {
    ExpectError(Bytes(good_.begin(), good_.begin() + std::ptrdiff_t(end)),
                "shorter than its header");
  }
  for (uint64_t end : {layout_.text, layout_.text + 5, layout_.glyphs, layout_.sprites,
                       layout_.alpha, layout_.pictures, layout_.end - 1}) {
    ExpectError(Bytes(good_.begin(), good_.begin() + std::ptrdiff_t(end)), "cut off or damaged");
  }
  Bytes longer = good_;
  longer.push_back(0);
  ExpectError(longer, "cut off or damaged");
}

TEST_F(ArtTest, AChangedByteInAnySectionIsAnError) {
  for (uint64_t offset : {layout_.text, layout_.glyphs, layout_.sprites, layout_.alpha,
                          layout_.pictures, layout_.end - 1}) {
    Bytes file = good_;
    file[offset] ^= 0x10;
    ExpectError(file, "checksum");
  }
}

TEST_F(ArtTest, OtherFilesAndVersionsAreErrors) {
  Bytes other = good_;
  other[0] = 'X';
  ExpectError(other, "not an art cache");
  ExpectError(WithHeader([](CacheHeader* header) { header->version = 1; }), "version 1");
  ExpectError(WithHeader([](CacheHeader* header) { header->sprite_side = 96; }), "96 px");
  ExpectError(WithHeader([](CacheHeader* header) { header->glyph_em = 64; }), "64 px per em");
}

TEST_F(ArtTest, ImpossibleCountsAreErrors) {
  for (uint32_t CacheHeader::*count : {&CacheHeader::concepts, &CacheHeader::styles,
                                       &CacheHeader::fonts, &CacheHeader::pictures}) {
    ExpectError(WithHeader([&](CacheHeader* header) { header->*count = UINT32_MAX; }),
                "impossible counts");
  }
  for (uint32_t CacheHeader::*count :
       {&CacheHeader::concepts, &CacheHeader::styles, &CacheHeader::fonts}) {
    ExpectError(WithHeader([&](CacheHeader* header) { header->*count = 0; }), "impossible counts");
  }
  for (uint64_t CacheHeader::*bytes : {&CacheHeader::text_bytes, &CacheHeader::alpha_bytes}) {
    ExpectError(WithHeader([&](CacheHeader* header) { header->*bytes = UINT64_MAX; }),
                "impossible counts");
  }
}

TEST_F(ArtTest, DamagedNamesAreErrorsEvenIfTheSumIsRight) {
  ExpectError(Forged(layout_.text, {0xff, 0xff}), "damaged names");
  ExpectError(Forged(layout_.text, {0, 0}), "damaged names");
  // category, name, plural, article, each behind two bytes of length; then the number
  const uint64_t number = layout_.text + 2 + 4 + 2 + 9 + 2 + 10 + 2 + 1;
  ASSERT_EQ(good_[number], 0);
  ExpectError(Forged(number, {3}), "damaged names");
  const uint64_t last = layout_.text + header_.text_bytes - 1;
  ASSERT_EQ(good_[last], 1);
  ExpectError(Forged(last, {2}), "damaged names");
}

TEST_F(ArtTest, GlyphsOutsideTheirSectionAreErrors) {
  const uint64_t a = GlyphOffset('A');
  const Bytes minus_one = {0xff, 0xff, 0xff, 0xff};
  const Bytes large = {0xff, 0xff, 0xff, 0x7f};
  for (size_t field : {offsetof(CacheGlyph, width), offsetof(CacheGlyph, height)}) {
    ExpectError(Forged(a + field, minus_one), "damaged glyph");
    ExpectError(Forged(a + field, {100, 0, 0, 0}), "damaged glyph");
  }
  for (size_t field : {offsetof(CacheGlyph, left), offsetof(CacheGlyph, top)}) {
    ExpectError(Forged(a + field, large), "damaged glyph");
    ExpectError(Forged(a + field, {0, 0, 0, 0x80}), "damaged glyph");
  }
  ExpectError(Forged(a + offsetof(CacheGlyph, alpha), {1}), "damaged glyph");
  ExpectError(Forged(a + offsetof(CacheGlyph, alpha), Bytes(8, 0xff)), "damaged glyph");
  ExpectError(Forged(a + offsetof(CacheGlyph, advance), {0, 0, 0xc0, 0x7f}), "damaged glyph");
}

TEST_F(ArtTest, SpritesOutsideTheirSectionAreErrors) {
  ExpectError(Forged(layout_.sprites, {4}), "damaged sprite table");
  ExpectError(Forged(layout_.sprites, {0xff, 0xff, 0xff, 0xff}), "damaged sprite table");
}

TEST_F(ArtTest, AFullDiskIsAnError) {
  const Status status = WriteCache("/dev/full", Contents());
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("/dev/full"));
}

TEST_F(ArtTest, WhatIsNotThereEndsTheProgram) {
  const auto art = Art::Open(path_);
  ASSERT_TRUE(art.ok());
  EXPECT_DEATH(art->Sprite(2, 0), "");
  EXPECT_DEATH(art->Sprite(0, -1), "");
  EXPECT_DEATH(art->FindGlyph(1, 'A'), "");
}

}  // namespace
}  // namespace fastvlm::train
