#include "text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <vector>

namespace fastvlm {
namespace {

std::string Utf8(std::u32string_view code_points) {
  std::string text;
  for (const char32_t c : code_points) AppendUtf8(c, &text);
  return text;
}

TEST(Utf8Test, EveryScalarValueGoesThereAndBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Character first = FirstCharacter(text);
    ASSERT_EQ(first.kind, Utf8Kind::kValid) << static_cast<uint32_t>(c);
    ASSERT_EQ(first.code_point, c);
    ASSERT_EQ(first.length, text.size());
    ASSERT_EQ(Utf8Length(c), text.size());
  }
}

// Pairs from the Unicode standard's table of maximal subparts and its surroundings.
TEST(Utf8Test, EachMaximalSubpartBecomesOneReplacement) {
  const std::string r = "\uFFFD";
  const std::map<std::string, std::string> cases = {
      {"\x80", r},
      {"\xC0\xAF", r + r},
      {"\xC1\x80", r + r},
      {"\xE0\x80\xBF", r + r + r},
      {"\xED\xA0\x80", r + r + r},
      {"\xF0\x8F\xBF\xBF", r + r + r + r},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", r + r + r + r + r + "A" + r + r + "B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", r + r + r + r + "A"},
      {"\xF5", r},
      {"a\xE4\xB8", "a" + r},
      {"a\xF0\x9F\x98", "a" + r},
      {"\xE4\xB8\xE4\xB8\xAD", r + "\xE4\xB8\xAD"},
  };
  for (const auto& [bytes, expected] : cases) {
    EXPECT_FALSE(IsValidUtf8(bytes));
    EXPECT_EQ(ReplaceInvalidUtf8(bytes), expected) << ::testing::PrintToString(bytes);
  }
  EXPECT_EQ(ReplaceInvalidUtf8(std::string("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Utf8Test, TextInPiecesEqualsTheWhole) {
  const std::string text = "aé\xE4\xB8\xAD😀\xE4\xB8z\xFF\xF0\x9F\x98";
  const std::string expected = ReplaceInvalidUtf8(text);
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      Utf8Assembler assembler;
      std::string joined;
      assembler.Append(text.substr(0, first), &joined);
      EXPECT_TRUE(IsValidUtf8(joined));
      assembler.Append(text.substr(first, second - first), &joined);
      EXPECT_TRUE(IsValidUtf8(joined));
      assembler.Append(text.substr(second), &joined);
      assembler.Finish(&joined);
      EXPECT_EQ(joined, expected) << first << ' ' << second;
    }
  }
}

TEST(NfcTest, ComposesAndOrders) {
  EXPECT_EQ(NormalizeNfc(""), "");
  EXPECT_EQ(NormalizeNfc("plain ascii"), "plain ascii");
  EXPECT_EQ(NormalizeNfc(Utf8(U"e\u0301")), Utf8(U"\u00E9"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"\u212B\u2126")), Utf8(U"\u00C5\u03A9"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"\u1112\u1161\u11AB")), Utf8(U"\uD55C"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"\uAC00\u11A8")), Utf8(U"\uAC01"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"\uAC00\u11A7\u11A7")), Utf8(U"\uAC00\u11A7\u11A7"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"q\u0307\u0323")), Utf8(U"q\u0323\u0307"));
  EXPECT_EQ(NormalizeNfc(Utf8(U"\u0958")), Utf8(U"\u0915\u093C"));  // composition exclusion
  EXPECT_EQ(NormalizeNfc(Utf8(U"\uFB01")), Utf8(U"\uFB01"));        // compatibility only
  EXPECT_EQ(NormalizeNfc(Utf8(std::u32string(U"e\0\u0301", 3))),
            Utf8(std::u32string(U"e\0\u0301", 3)));
}

TEST(NfcTest, LongRunsOfMarksAreNotQuadratic) {
  std::u32string marks(1, U'a');
  for (int i = 0; i < 200000; ++i) marks += {U'\u0315', U'\u0323'};  // classes 232 and 220
  const std::u32string normal = ToCodePoints(NormalizeNfc(Utf8(marks)));
  ASSERT_EQ(normal.size(), 400000u);  // the first dot below joins the letter
  EXPECT_EQ(normal[0], U'\u1EA1');
  EXPECT_EQ(normal[199999], U'\u0323');
  EXPECT_EQ(normal[200000], U'\u0315');
}

// The classes of the regular expression engine behind HF tokenizers, for every code point.
TEST(CharClassTest, EqualsTheReferenceForEveryCodePoint) {
  std::vector<char> expected(0x110000, ' ');
  std::ifstream file(FASTVLM_SOURCE_DIR "/tests/golden/text/classes.txt");
  char name = 0;
  uint32_t first = 0;
  uint32_t last = 0;
  int ranges = 0;
  while (file >> name >> std::hex >> first >> last) {
    ASSERT_LE(last, 0x10FFFFu);
    for (uint32_t c = first; c <= last; ++c) expected[c] = name;
    ++ranges;
  }
  ASSERT_GT(ranges, 700);
  // A utf8proc newer than the reference (Unicode 16) may know more letters and numbers.
  const bool newer_tables = std::atoi(utf8proc_unicode_version()) > 16;
  const std::map<CharClass, char> names = {{CharClass::kLetter, 'L'},
                                           {CharClass::kNumber, 'N'},
                                           {CharClass::kNewline, 's'},
                                           {CharClass::kSpace, 's'},
                                           {CharClass::kOther, ' '}};
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (newer_tables && expected[c] == ' ') continue;
    ASSERT_EQ(names.at(ClassOf(c)), expected[c]) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(ClassOf(c) == CharClass::kNewline, c == '\r' || c == '\n');
  }
}

}  // namespace
}  // namespace fastvlm
