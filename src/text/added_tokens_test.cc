#include "text/added_tokens.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace fastvlm {
namespace {

AddedToken Token(int32_t id, std::string content, bool lstrip = false, bool rstrip = false) {
  return {id, std::move(content), false, false, lstrip, rstrip};
}

// "text", "[id]" for each part.
std::vector<std::string> Split(const std::vector<AddedToken>& tokens, const std::string& text) {
  std::vector<std::string> parts;
  AddedTokenMatcher(tokens).Split(
      text, [&](std::string_view plain) { return parts.emplace_back(plain), true; },
      [&](int32_t id) { return parts.push_back(fmt::format("[{}]", id)), true; });
  return parts;
}

using Parts = std::vector<std::string>;

TEST(AddedTokenMatcherTest, EndsWhereItIsToldTo) {
  const AddedTokenMatcher matcher({{1, "<x>"}});
  int texts = 0, tokens = 0;
  const auto split = [&](int most_texts, int most_tokens) {
    texts = tokens = 0;
    return matcher.Split(
        "a<x>b<x>c", [&](std::string_view) { return ++texts < most_texts; },
        [&](int32_t) { return ++tokens < most_tokens; });
  };
  EXPECT_TRUE(split(4, 3));
  EXPECT_FALSE(split(3, 3));  // at the very end
  EXPECT_EQ(texts, 3);
  EXPECT_FALSE(split(2, 3));
  EXPECT_EQ(texts, 2);
  EXPECT_EQ(tokens, 1);
  EXPECT_FALSE(split(4, 2));
  EXPECT_EQ(tokens, 2);
}

TEST(AddedTokenMatcherTest, NoTokens) {
  EXPECT_EQ(Split({}, ""), Parts{});
  EXPECT_EQ(Split({}, "abc"), Parts{"abc"});
}

TEST(AddedTokenMatcherTest, LeftmostThenLongest) {
  const std::vector<AddedToken> tokens = {Token(1, "ab"), Token(2, "abcd"), Token(3, "bcx"),
                                          Token(4, "d")};
  EXPECT_EQ(Split(tokens, "abcd"), Parts{"[2]"});
  EXPECT_EQ(Split(tokens, "abcx"), (Parts{"[1]", "cx"}));
  EXPECT_EQ(Split(tokens, "xbcxd"), (Parts{"x", "[3]", "[4]"}));
  EXPECT_EQ(Split(tokens, "abab"), (Parts{"[1]", "[1]"}));
  EXPECT_EQ(Split(tokens, "abc"), (Parts{"[1]", "c"}));
  EXPECT_EQ(Split(tokens, "a"), Parts{"a"});
}

TEST(AddedTokenMatcherTest, FirstOfEqualContentsCounts) {
  EXPECT_EQ(Split({Token(7, "x"), Token(8, "x")}, "x"), Parts{"[7]"});
}

TEST(AddedTokenMatcherTest, StripsWhiteSpaceOfAllScripts) {
  const std::string wide = "\u3000\u00A0 \n";
  const std::vector<AddedToken> tokens = {
      Token(1, "<l>", true, false), Token(2, "<r>", false, true), Token(3, "<b>", true, true)};
  EXPECT_EQ(Split(tokens, "é" + wide + "<l>" + wide), (Parts{"é", "[1]", wide}));
  EXPECT_EQ(Split(tokens, wide + "<r>" + wide + "é"), (Parts{wide, "[2]", "é"}));
  EXPECT_EQ(Split(tokens, wide + "<b>" + wide), Parts{"[3]"});
  EXPECT_EQ(Split(tokens, "<r> <l>"), (Parts{"[2]", "[1]"}));
}

TEST(AddedTokenMatcherTest, BytesAboveAscii) {
  EXPECT_EQ(Split({Token(1, "中文"), Token(2, "é")}, "中中文é文"),
            (Parts{"中", "[1]", "[2]", "文"}));
}

}  // namespace
}  // namespace fastvlm
