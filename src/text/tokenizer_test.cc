#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "text/byte_alphabet.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// Bytes are tokens 0..255, then "ab" and U+0120 "a" (a space and an a).
Vocabulary SmallVocabulary() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens[SpellByte(static_cast<uint8_t>(byte))] = byte;
  }
  vocabulary.tokens["ab"] = 256;
  vocabulary.tokens["\u0120a"] = 257;
  vocabulary.merges = {{"a", "b"}, {"\u0120", "a"}};
  return vocabulary;
}

Tokenizer Make(const Vocabulary& vocabulary) {
  Result<Tokenizer> tokenizer = Tokenizer::Create(vocabulary, "test");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *std::move(tokenizer);
}

std::string CreateError(const Vocabulary& vocabulary) {
  const Status status = Tokenizer::Create(vocabulary, "some/path").status();
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), HasSubstr("some/path"));
  return status.message();
}

TEST(TokenizerTest, Encodes) {
  const Tokenizer tokenizer = Make(SmallVocabulary());
  EXPECT_EQ(tokenizer.Encode(""), Ids{});
  EXPECT_EQ(tokenizer.Encode("abab ab"), (Ids{256, 256, ' ', 256}));
  EXPECT_EQ(tokenizer.Encode("b a"), (Ids{'b', 257}));
  EXPECT_EQ(tokenizer.Encode(std::string("\0a", 2)), (Ids{0, 'a'}));
}

TEST(TokenizerTest, InvalidUtf8CountsAsReplacementCharacter) {
  const Tokenizer tokenizer = Make(SmallVocabulary());
  EXPECT_EQ(tokenizer.Encode("a\xFF\xE4\xB8z"), tokenizer.Encode("a\uFFFD\uFFFDz"));
  EXPECT_EQ(tokenizer.Encode("\xE4"), (Ids{0xEF, 0xBF, 0xBD}));
}

TEST(TokenizerTest, IdsAndBytes) {
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.added_tokens = {{300, "<s p>", true}, {302, "<t>", false}};
  const Tokenizer tokenizer = Make(vocabulary);
  EXPECT_EQ(tokenizer.size(), 303);
  EXPECT_EQ(tokenizer.TokenBytes(257), " a");
  EXPECT_EQ(tokenizer.TokenBytes(0xE4), "\xE4");
  EXPECT_EQ(tokenizer.TokenBytes(300), "<s p>");
  for (const int32_t none : {-1, 258, 299, 301, 303, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer.TokenBytes(none), "") << none;
    EXPECT_FALSE(tokenizer.IsSpecial(none)) << none;
  }
  EXPECT_TRUE(tokenizer.IsSpecial(300));
  EXPECT_FALSE(tokenizer.IsSpecial(302));
  EXPECT_EQ(tokenizer.TokenId("<s p>"), 300);
  EXPECT_EQ(tokenizer.TokenId("\u0120a"), 257);
  EXPECT_EQ(tokenizer.TokenId(" a"), std::nullopt);
  EXPECT_EQ(tokenizer.Encode("x<s p>ab<t>"), (Ids{'x', 300, 256, 302}));
}

TEST(TokenizerTest, NormalizedTokensAreFoundInNormalizedText) {
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.added_tokens = {{300, "e\u0301", false, true}, {301, "o\u0301", false, false}};
  const Tokenizer tokenizer = Make(vocabulary);
  EXPECT_EQ(tokenizer.Encode("e\u0301\u00E9"), (Ids{300, 300}));
  EXPECT_EQ(tokenizer.Encode("o\u0301\u00F3"), (Ids{301, 0xC3, 0xB3}));
}

TEST(TokenizerTest, ThreadsShareOne) {
  const Tokenizer tokenizer = Make(SmallVocabulary());
  const Ids expected = tokenizer.Encode("ab a e\u0301 ab!");
  std::vector<Ids> results(8);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] { result = tokenizer.Encode("ab a e\u0301 ab!"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(TokenizerTest, RefusesAMissingByte) {
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.tokens.erase(SpellByte(0x80));
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("0x80"));
  EXPECT_THAT(CreateError({}), HasSubstr("0x00"));
}

TEST(TokenizerTest, RefusesMergesOutsideTheVocabulary) {
  for (const auto& merge :
       {std::pair<std::string, std::string>{"xx", "b"}, {"b", "xx"}, {"x", "x"}}) {
    Vocabulary vocabulary = SmallVocabulary();
    vocabulary.merges.push_back(merge);
    EXPECT_THAT(CreateError(vocabulary), HasSubstr("merge 2 "));
    EXPECT_THAT(CreateError(vocabulary), HasSubstr("\"xx\" is not in the vocabulary"));
  }
}

TEST(TokenizerTest, RefusesDuplicateIds) {
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.tokens["twice"] = 256;
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("id 256 belongs to two tokens"));
  vocabulary = SmallVocabulary();
  vocabulary.added_tokens = {{257, "<x>"}};
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("id 257 belongs to two tokens"));
}

TEST(TokenizerTest, RefusesIdsOutOfRangeAndEmptyTokens) {
  for (const int32_t id : {-1, INT32_MIN, kMaxTokenId + 1, INT32_MAX}) {
    Vocabulary vocabulary = SmallVocabulary();
    vocabulary.tokens["x"] = id;
    EXPECT_THAT(CreateError(vocabulary), HasSubstr("\"x\": expected an id in 0..16777215"));
    vocabulary = SmallVocabulary();
    vocabulary.added_tokens = {{id, "<x>"}};
    EXPECT_THAT(CreateError(vocabulary), HasSubstr("\"<x>\": expected an id in 0..16777215"));
  }
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.added_tokens = {{300, ""}};
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("added token 300 has no content"));
  vocabulary.added_tokens = {{kMaxTokenId, "<last>"}};
  EXPECT_EQ(Make(vocabulary).TokenBytes(kMaxTokenId), "<last>");
}

TEST(TokenizerTest, RefusesTwoIdsForAToken) {
  Vocabulary vocabulary = SmallVocabulary();
  vocabulary.added_tokens = {{300, "<x>"}, {301, "<x>"}};
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("\"<x>\" has two ids, 300 and 301"));
  vocabulary.added_tokens = {{300, "ab"}};
  EXPECT_THAT(CreateError(vocabulary), HasSubstr("\"ab\" has two ids, 256 and 300"));
  vocabulary.added_tokens = {{256, "ab", true}};  // the same token in both is well formed
  EXPECT_TRUE(Make(vocabulary).IsSpecial(256));
}

}  // namespace
}  // namespace fastvlm
