// Against Hugging Face's tokenizers: tests/reference/make_text_golden.py made the files.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/file.h"
#include "text/chat_prompt.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

const std::string kGoldenDirectory = FASTVLM_SOURCE_DIR "/tests/golden/text";

struct GoldenCase {
  char kind;  // 'E' encode, 'D' decode, 'S' decode without special tokens
  std::string text;
  std::vector<int32_t> ids;
};

// Reads a file of cases; the format is described in the script. Fails the test on a broken file.
class GoldenReader {
 public:
  explicit GoldenReader(const std::string& path) {
    Result<std::string> data = ReadTextFile(path, size_t{64} << 20);
    if (!data.ok()) {
      ADD_FAILURE() << data.status().message();
      return;
    }
    data_ = *std::move(data);
    at_ = kMagic.size();
    if (!data_.starts_with(kMagic)) Fail();
  }

  bool Next(GoldenCase* result) {
    if (at_ >= data_.size()) return false;
    result->kind = data_[at_++];
    const size_t size = Number();
    if (size > data_.size() - at_) return Fail();
    result->text = data_.substr(at_, size);
    at_ += size;
    const size_t count = Number();
    if (count > data_.size() - at_) return Fail();
    result->ids.clear();
    for (size_t i = 0; i < count; ++i) result->ids.push_back(static_cast<int32_t>(Number()));
    return true;
  }

 private:
  static constexpr std::string_view kMagic = "FVTEXT1\n";

  size_t Number() {
    size_t number = 0;
    for (int shift = 0; shift < 32 && at_ < data_.size(); shift += 7) {
      const auto byte = static_cast<uint8_t>(data_[at_++]);
      number |= static_cast<size_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
    Fail();
    return 0;
  }
  bool Fail() {
    ADD_FAILURE() << "the golden file is broken at byte " << at_;
    at_ = data_.size();
    return false;
  }

  std::string data_;
  size_t at_ = 0;
};

std::string DecodeStream(const Tokenizer& tokenizer, const GoldenCase& golden) {
  StreamDecoder decoder(tokenizer, golden.kind == 'S');
  std::string text;
  for (const int32_t id : golden.ids) {
    const std::string part = decoder.Push(id);
    EXPECT_TRUE(IsValidUtf8(part)) << ::testing::PrintToString(golden.ids);
    text += part;
  }
  return text + decoder.Finish();
}

// Compares everything in the file; prints at most a few failures.
void CheckGolden(const Tokenizer& tokenizer, const std::string& path, int min_strings,
                 int min_decodings) {
  GoldenReader reader(path);
  GoldenCase golden;
  int strings = 0;
  int decodings = 0;
  int failures = 0;
  while (failures < 5 && reader.Next(&golden)) {
    if (golden.kind == 'E') {
      ++strings;
      const std::vector<int32_t> ids = tokenizer.Encode(golden.text);
      failures += ids != golden.ids;
      EXPECT_EQ(ids, golden.ids) << "of " << ::testing::PrintToString(golden.text);
    } else {
      ++decodings;
      const std::string text = tokenizer.Decode(golden.ids, golden.kind == 'S');
      failures += text != golden.text;
      EXPECT_EQ(text, golden.text) << "of " << ::testing::PrintToString(golden.ids);
      EXPECT_EQ(DecodeStream(tokenizer, golden), golden.text);
    }
  }
  EXPECT_GE(strings, min_strings);
  EXPECT_GE(decodings, min_decodings);
  ::testing::Test::RecordProperty("strings", strings);
  ::testing::Test::RecordProperty("decodings", decodings);
}

TEST(GoldenTest, TokenizerJsonEqualsHuggingFace) {
  const Result<Tokenizer> tokenizer = Tokenizer::Load(kGoldenDirectory + "/json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  CheckGolden(*tokenizer, kGoldenDirectory + "/cases.bin", 10000, 2000);
}

TEST(GoldenTest, SeparateFilesEqualHuggingFace) {
  const Result<Tokenizer> tokenizer = Tokenizer::Load(kGoldenDirectory + "/files");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  CheckGolden(*tokenizer, kGoldenDirectory + "/cases.bin", 10000, 2000);
}

// NFC text made of whole characters comes back as it was.
TEST(GoldenTest, DecodingUndoesEncoding) {
  const Result<Tokenizer> tokenizer = Tokenizer::Load(kGoldenDirectory + "/json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  GoldenReader reader(kGoldenDirectory + "/cases.bin");
  GoldenCase golden;
  int compared = 0;
  while (reader.Next(&golden)) {
    // Added tokens that take white space along, or decode to a broken character, do not return.
    const bool has_added =
        std::any_of(golden.ids.begin(), golden.ids.end(), [](int32_t id) { return id >= 2256; });
    if (golden.kind != 'E' || has_added) continue;
    ASSERT_EQ(tokenizer->Decode(golden.ids, false), NormalizeNfc(golden.text));
    ++compared;
  }
  EXPECT_GE(compared, 9000);
}

// Qwen2's own vocabulary, which is too large to be committed.
class QwenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string directory = FASTVLM_SOURCE_DIR "/build/cache/qwen2";
    if (!FileExists(directory + "/tokenizer.json")) {
      GTEST_SKIP() << directory << "/tokenizer.json is not there: the network was not when "
                   << "scripts/fetch-qwen-tokenizer.sh last ran";
    }
    Result<Tokenizer> tokenizer = Tokenizer::Load(directory);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_.emplace(*std::move(tokenizer));
  }
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(QwenTest, EqualsHuggingFace) {
  CheckGolden(*tokenizer_, kGoldenDirectory + "/qwen2_cases.bin", 10000, 2000);
}

// The published prompt: 24 text tokens around one image.
TEST_F(QwenTest, PromptHasThePublishedIds) {
  const ChatTurn turn{ChatRole::kUser, "What are these?", 1};
  const std::vector<int32_t> ids = TokenizePrompt(*tokenizer_, BuildPrompt({{turn}}).value());
  const std::vector<int32_t> expected = {
      151644, 8948, 198, 2610, 525, 264,  10950, 17847,  13,  151645, 198,   151644, 872,
      198,    -200, 198, 3838, 525, 1493, 30,    151645, 198, 151644, 77091, 198};
  EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace fastvlm
