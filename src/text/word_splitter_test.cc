#include "text/word_splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/unicode.h"

namespace fastvlm {
namespace {

using Words = std::vector<std::u32string>;

Words Split(const std::u32string& text) {
  Words words;
  for (size_t start = 0; start < text.size();) {
    const size_t end = WordEnd(text, start);
    if (end <= start || end > text.size()) {
      ADD_FAILURE() << "word from " << start << " to " << end;
      break;
    }
    words.push_back(text.substr(start, end - start));
    start = end;
  }
  return words;
}

TEST(WordSplitterTest, Words) {
  EXPECT_EQ(Split(U"Hello big world"), (Words{U"Hello", U" big", U" world"}));
  EXPECT_EQ(Split(U"a\u00A0b\tc"), (Words{U"a", U"\u00A0b", U"\tc"}));
  EXPECT_EQ(Split(U"(word)"), (Words{U"(word", U")"}));
  EXPECT_EQ(Split(U"\nword"), (Words{U"\n", U"word"}));
  EXPECT_EQ(Split(U"cafe\u0301s"), (Words{U"cafe", U"\u0301s"}));
}

TEST(WordSplitterTest, Contractions) {
  EXPECT_EQ(Split(U"it's WE'LL x'Re"), (Words{U"it", U"'s", U" WE", U"'LL", U" x", U"'Re"}));
  EXPECT_EQ(Split(U"'twas 'the"), (Words{U"'t", U"was", U" '", U"the"}));
  EXPECT_EQ(Split(U"a'\u017Fb"), (Words{U"a", U"'\u017F", U"b"}));
  EXPECT_EQ(Split(U"a'lb 'r 'v'"), (Words{U"a", U"'lb", U" '", U"r", U" '", U"v", U"'"}));
  EXPECT_EQ(Split(U"'"), (Words{U"'"}));
  EXPECT_EQ(Split(U"'l"), (Words{U"'l"}));
}

TEST(WordSplitterTest, NumbersAreSingle) {
  EXPECT_EQ(Split(U"123 4"), (Words{U"1", U"2", U"3", U" ", U"4"}));
  EXPECT_EQ(Split(U"\u0663\u00BD\u2167"), (Words{U"\u0663", U"\u00BD", U"\u2167"}));
}

TEST(WordSplitterTest, SymbolsTakeASpaceBeforeAndNewlinesAfter) {
  EXPECT_EQ(Split(U"a !!\r\n\nb"), (Words{U"a", U" !!\r\n\n", U"b"}));
  EXPECT_EQ(Split(U"\t!!"), (Words{U"\t", U"!!"}));
  EXPECT_EQ(Split(U"!?x"), (Words{U"!?", U"x"}));
}

TEST(WordSplitterTest, WhiteSpace) {
  EXPECT_EQ(Split(U"a   b"), (Words{U"a", U"  ", U" b"}));
  EXPECT_EQ(Split(U"a   "), (Words{U"a", U"   "}));
  EXPECT_EQ(Split(U"a \n  \n  b"), (Words{U"a", U" \n  \n", U" ", U" b"}));
  EXPECT_EQ(Split(U"\n\n"), (Words{U"\n\n"}));
  EXPECT_EQ(Split(U"  1"), (Words{U" ", U" ", U"1"}));
  EXPECT_EQ(Split(U"\u0085\u2028\u3000!"), (Words{U"\u0085\u2028", U"\u3000", U"!"}));
  EXPECT_EQ(Split(U"\u200Bx"), (Words{U"\u200Bx"}));
}

TEST(WordSplitterTest, LongRunsAreLinear) {
  const std::u32string text = std::u32string(1000000, U' ') + U"\n" + std::u32string(1000000, U'!');
  const Words words = Split(text);
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[0].size(), 1000001u);
}

}  // namespace
}  // namespace fastvlm
