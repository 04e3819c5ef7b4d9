#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include "support/random.h"
#include "text/byte_alphabet.h"

namespace fastvlm {
namespace {

// Tokens 0..255 are the bytes; then whole strings, and special tokens.
class StreamDecoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Vocabulary vocabulary;
    for (int byte = 0; byte < 256; ++byte) {
      vocabulary.tokens[SpellByte(static_cast<uint8_t>(byte))] = byte;
    }
    vocabulary.added_tokens = {{256, "<end>", true}, {258, "<tool>", false}};
    Result<Tokenizer> tokenizer = Tokenizer::Create(vocabulary, "test");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(tokenizer));
  }

  static std::vector<int32_t> ByteIds(const std::string& text) {
    std::vector<int32_t> ids;
    for (const char byte : text) ids.push_back(static_cast<uint8_t>(byte));
    return ids;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(StreamDecoderTest, HoldsBackHalfCharacters) {
  StreamDecoder decoder(*tokenizer_);
  EXPECT_EQ(decoder.Push('a'), "a");
  EXPECT_EQ(decoder.Push(0xF0), "");
  EXPECT_EQ(decoder.Push(0x9F), "");
  EXPECT_EQ(decoder.Push(0x98), "");
  EXPECT_EQ(decoder.Push(0x80), "😀");
  EXPECT_EQ(decoder.Push(0xE4), "");
  EXPECT_EQ(decoder.Push('b'),
            "\uFFFD"
            "b");
  EXPECT_EQ(decoder.Finish(), "");
}

TEST_F(StreamDecoderTest, EndsAnIncompleteCharacter) {
  StreamDecoder decoder(*tokenizer_);
  EXPECT_EQ(decoder.Push(0xE4), "");
  EXPECT_EQ(decoder.Push(0xB8), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Push('a'), "a");  // as new
  EXPECT_EQ(decoder.Finish(), "");
}

TEST_F(StreamDecoderTest, SkippedTokensDoNotInterruptACharacter) {
  const std::vector<int32_t> ids = {0xC3, 256, 0xA9, 258, 257, -1, 1000};
  EXPECT_EQ(tokenizer_->Decode(ids, true), "é<tool>");
  EXPECT_EQ(tokenizer_->Decode(ids, false), "\uFFFD<end>\uFFFD<tool>");
}

TEST_F(StreamDecoderTest, EveryCharacterInBytesEqualsTheWhole) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string character;
    AppendUtf8(c, &character);
    StreamDecoder decoder(*tokenizer_);
    for (size_t i = 0; i + 1 < character.size(); ++i) {
      ASSERT_EQ(decoder.Push(static_cast<uint8_t>(character[i])), "");
    }
    ASSERT_EQ(decoder.Push(static_cast<uint8_t>(character.back())), character);
    ASSERT_EQ(decoder.Finish(), "");
  }
}

TEST_F(StreamDecoderTest, RandomBytesAreAlwaysValidText) {
  TestRandom random;
  const std::string alphabet = "a\x80\xBF\xC3\xE0\xA0\xE4\xED\x9F\xF0\x90\xF4\x8F\xFF";
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (int i = random.Integer(0, 9); i > 0; --i) {
      bytes.push_back(alphabet[random.Integer(0, static_cast<int>(alphabet.size()) - 1)]);
    }
    StreamDecoder decoder(*tokenizer_);
    std::string text;
    for (const int32_t id : ByteIds(bytes)) {
      text += decoder.Push(id);
      ASSERT_TRUE(IsValidUtf8(text));
    }
    text += decoder.Finish();
    ASSERT_TRUE(IsValidUtf8(text));
    ASSERT_EQ(text, ReplaceInvalidUtf8(bytes));
  }
}

}  // namespace
}  // namespace fastvlm
