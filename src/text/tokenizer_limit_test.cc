// Texts that may be too long, and the pieces in which all texts are tokenized.
#include <gtest/gtest.h>
#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "text/byte_alphabet.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace fastvlm {
namespace {

using TokenIds = std::vector<int32_t>;

// Bytes, some words with their merges, and a control token.
Vocabulary WordVocabulary() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens[SpellByte(static_cast<uint8_t>(byte))] = byte;
  }
  int32_t id = 256;
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {"a", "b"}, {"ab", "ab"}, {"\u0120", "ab"}, {"\u0120", "\u0120"}, {"!", "!"}}) {
    vocabulary.tokens[left + right] = id++;
    vocabulary.merges.emplace_back(left, right);
  }
  AddedToken end;
  end.id = id;
  end.content = "<|end|>";
  end.special = true;
  vocabulary.added_tokens = {end};
  return vocabulary;
}

Tokenizer MakeTokenizer(const Vocabulary& vocabulary) {
  return Tokenizer::Create(vocabulary, "test").value();
}

// Whatever meets at the border of two pieces.
std::string MixedText(std::mt19937& random, size_t bytes) {
  static const char* const kParts[] = {"ab",      "abab",
                                       " ",       "  ",
                                       "\n",      "\r\n",
                                       "\t",      "'s",
                                       "'ll",     "'",
                                       "!",       "!!",
                                       "7",       "12",
                                       "e\u0301", "\u0301",
                                       "\u212A",  "\u1112\u1161\u11ab",
                                       "\uFB1D",  "\u3000",
                                       "\u00A0",  "\u4E2D\u6587",
                                       "\uFF0C",  "<|end|>",
                                       "\xFF",    "A",
                                       "Z "};
  std::string text;
  while (text.size() < bytes) text += kParts[random() % std::size(kParts)];
  return text;
}

TEST(TokenizerLimitTest, PiecesGiveTheTokensOfTheWhole) {
  const Tokenizer in_pieces = MakeTokenizer(WordVocabulary());
  // A token that is looked for in the normalised text keeps the text in one piece.
  Vocabulary vocabulary = WordVocabulary();
  AddedToken never;
  never.id = vocabulary.added_tokens[0].id + 1;
  never.content = "never said";
  never.normalized = true;
  vocabulary.added_tokens.push_back(never);
  const Tokenizer whole = MakeTokenizer(vocabulary);
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    const std::string text = MixedText(random, size_t{70} << 10);
    ASSERT_EQ(in_pieces.Encode(text), whole.Encode(text)) << "text " << i;
  }
  // Only one kind of border each, so that it is used.
  for (const char* part : {"ab ", "ab\n", "ab!!", "ab'", "a7", "\u4E2D ", "!! ", "\uFB1D!", "ab"}) {
    std::string text;
    while (text.size() < size_t{40} << 10) text += part;
    ASSERT_EQ(in_pieces.Encode(text), whole.Encode(text)) << part;
  }
}

TEST(TokenizerLimitTest, TheLimitIsExact) {
  const Tokenizer tokenizer = MakeTokenizer(WordVocabulary());
  std::mt19937 random(8);
  for (int i = 0; i < 200; ++i) {
    const std::string text = MixedText(random, 1 + random() % 60);
    const TokenIds expected = tokenizer.Encode(text);
    for (size_t most = 0; most < expected.size() + 3; ++most) {
      TokenIds ids = {-1, -2, -3};  // what was there before is kept and does not count
      const bool fits = tokenizer.EncodeUpTo(text, most, &ids);
      ASSERT_EQ(fits, expected.size() <= most) << "text " << i << ", at most " << most;
      if (!fits) continue;
      ASSERT_EQ(TokenIds(ids.begin() + 3, ids.end()), expected);
      ASSERT_EQ(ids[2], -3);
    }
  }
}

TEST(TokenizerLimitTest, APromptCountsItsImages) {
  const Tokenizer tokenizer = MakeTokenizer(WordVocabulary());
  const std::string prompt = "ab<image>ab<image>";
  const TokenIds expected = TokenizePrompt(tokenizer, prompt);
  ASSERT_EQ(expected, (TokenIds{256, kImageTokenIndex, 256, kImageTokenIndex}));
  EXPECT_EQ(TokenizePromptUpTo(tokenizer, prompt, 22, 10), expected);
  EXPECT_EQ(TokenizePromptUpTo(tokenizer, prompt, 21, 10), std::nullopt);
  EXPECT_EQ(TokenizePromptUpTo(tokenizer, prompt, 2, 0), expected);
  EXPECT_EQ(TokenizePromptUpTo(tokenizer, prompt, 1, 0), std::nullopt);
}

// However long the text and its words are: the byte after which it cannot fit is not even read.
TEST(TokenizerLimitTest, TooManyBytesAreTooManyTokens) {
  const Tokenizer tokenizer = MakeTokenizer(WordVocabulary());
  const size_t longest = std::string("<|end|>").size();
  EXPECT_EQ(tokenizer.MostBytes(100), 100 * longest * 4);
  EXPECT_EQ(tokenizer.MostBytes(std::numeric_limits<size_t>::max() / 2),
            std::numeric_limits<size_t>::max());
  TokenIds ids;
  EXPECT_FALSE(tokenizer.EncodeUpTo(std::string(tokenizer.MostBytes(100) + 1, 'a'), 100, &ids));
  EXPECT_TRUE(ids.empty());
  // One word, whose tokens would be known only after it was merged whole.
  EXPECT_FALSE(tokenizer.EncodeUpTo(std::string(100 * longest + 1, 'a'), 100, &ids));
  EXPECT_TRUE(ids.empty());

  // White space beside a token that takes it along is no token.
  Vocabulary vocabulary = WordVocabulary();
  vocabulary.added_tokens[0].rstrip = true;
  const Tokenizer taking = MakeTokenizer(vocabulary);
  const std::string spaces = "<|end|>" + std::string(10'000, ' ');
  EXPECT_TRUE(taking.EncodeUpTo(spaces, 1, &ids));
  EXPECT_EQ(ids, TokenIds{vocabulary.added_tokens[0].id});
}

// The bound of MostBytes: the longest spelling of a composed character is that of its parts, each
// written as the longest character that becomes this part.
TEST(TokenizerLimitTest, NormalisationShrinksNothingBelowAQuarter) {
  std::map<char32_t, size_t> longest;  // spelling of what becomes this character
  const auto visit = [](const auto& use) {
    for (char32_t c = 1; c <= 0x10FFFF; ++c) {
      if (c == 0xD800) c = 0xE000;
      utf8proc_int32_t parts[32];
      int last = 0;
      const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                                                 UTF8PROC_DECOMPOSE, &last);
      ASSERT_TRUE(count > 0 && count < 32);
      if (count > 1 || static_cast<char32_t>(parts[0]) != c) {
        use(c, std::vector<char32_t>(parts, parts + count));
      }
    }
  };
  visit([&](char32_t c, const std::vector<char32_t>& parts) {
    if (parts.size() == 1) longest[parts[0]] = std::max(longest[parts[0]], Utf8Length(c));
  });
  double most = 0;
  visit([&](char32_t c, const std::vector<char32_t>& parts) {
    size_t bytes = 0;
    for (const char32_t part : parts) bytes += std::max(longest[part], Utf8Length(part));
    std::string text;
    AppendUtf8(c, &text);
    const double composed = static_cast<double>(NormalizeNfc(text).size());
    most = std::max(
        {most, static_cast<double>(bytes) / composed, static_cast<double>(text.size()) / composed});
  });
  EXPECT_LE(most, 4);
  EXPECT_GE(most, 3);  // that is, something was looked at
}

}  // namespace
}  // namespace fastvlm
