#include "train/tokenizer/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/json.h"
#include "support/temporary_directory.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"
#include "train/tokenizer/special_tokens.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::vector<std::string> kFiles = {
    "tokenizer.json",          "vocab.json",         "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "chat_template.jinja"};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Status Train(const std::string& corpus, const std::string& output, const BpeOptions& options = {}) {
  const Result<WordCounts> words = CountWords(corpus);
  if (!words.ok()) return words.status();
  return WriteTokenizer(TrainBpe(*words, options), output);
}

const std::vector<std::string> kSentences = {"What is this?", "A red apple and a cat.",
                                             "A red cat on the left and a red apple on the right.",
                                             "What is on the left?", "A cat, on a red background."};

class TokenizerFiles : public ::testing::Test {
 protected:
  // The tokenizer made of kSentences.
  Tokenizer TrainAndLoad(const BpeOptions& options = {}) {
    directory_.Write("corpus.txt", Join(kSentences));
    const Status status =
        Train(directory_.Path("corpus.txt"), directory_.Path("model/deeper"), options);
    EXPECT_TRUE(status.ok()) << status.message();
    Result<Tokenizer> tokenizer = Tokenizer::Load(directory_.Path("model/deeper"));
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    return std::move(tokenizer).value();
  }

  TemporaryDirectory directory_;
};

TEST_F(TokenizerFiles, WordsOfTheCorpusAreOneToken) {
  const Tokenizer tokenizer = TrainAndLoad();
  for (const char* word : {" red", " cat", " left", " a", " on", " the", " apple", "What", "."}) {
    EXPECT_EQ(tokenizer.Encode(word).size(), 1u) << word;
  }
  EXPECT_EQ(tokenizer.Encode("A red cat on the left.").size(), 7u);
  // "right" occurs once, below min-count, but "r" was merged for "red".
  EXPECT_EQ(tokenizer.Encode(" right").size(), 5u);
  EXPECT_EQ(TrainAndLoad({.min_count = 1}).Encode(" right").size(), 1u);
}

TEST_F(TokenizerFiles, TextThatIsSpelledStaysInCharacters) {
  const Tokenizer tokenizer = TrainAndLoad();
  const auto lone = [&](const std::string& text) { return tokenizer.Encode(text).size(); };
  EXPECT_EQ(lone("A cat \"apple\""), 2 + 2 + 5 + 1u);  // A, cat, space, quote, letters, quote
  EXPECT_EQ(lone("\"cat\""), 5u);
  EXPECT_EQ(lone("\"LEFT 42\""), 9u);
  // Plain byte-pair encoding would merge inside such text.
  EXPECT_LT(TrainAndLoad({.rule = MergeRule::kAnywhere}).Encode("\"cat\"").size(), 5u);
}

TEST_F(TokenizerFiles, AnyTextComesBack) {
  const Tokenizer tokenizer = TrainAndLoad();
  for (const std::string text : {"A red cat.", "", "\n\n  x\t",
                                 "caf\u00e9 \u732b \U0001F408 \"A1b2\"", "What's left? 123"}) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text), true), text);
  }
}

TEST_F(TokenizerFiles, SpecialTokensFollowTheVocabulary) {
  const Tokenizer tokenizer = TrainAndLoad();
  for (size_t i = 0; i < kSpecialTokens.size(); ++i) {
    const auto id = tokenizer.TokenId(kSpecialTokens[i]);
    ASSERT_TRUE(id.has_value()) << kSpecialTokens[i];
    EXPECT_EQ(*id, tokenizer.size() - 4 + static_cast<int32_t>(i));
    EXPECT_TRUE(tokenizer.IsSpecial(*id));
  }
  EXPECT_EQ(tokenizer.Encode("<|im_end|>\n<image>").size(), 3u);
}

TEST_F(TokenizerFiles, SpecialTokensComeOnTop) {
  EXPECT_EQ(TrainAndLoad({.tokens = 266}).size(), 270);
  EXPECT_EQ(TrainAndLoad({.tokens = 256}).size(), 260);
}

// The older files say the same as tokenizer.json.
TEST_F(TokenizerFiles, SeparateFilesMakeTheSameTokenizer) {
  const Tokenizer whole = TrainAndLoad();
  std::filesystem::remove(directory_.Path("model/deeper/tokenizer.json"));
  const Result<Tokenizer> parts = Tokenizer::Load(directory_.Path("model/deeper"));
  ASSERT_TRUE(parts.ok()) << parts.status().message();
  EXPECT_EQ(parts->size(), whole.size());
  const std::string text = "<|im_start|>A red cat, \"CAT\"<|im_end|>\n<image>";
  EXPECT_EQ(parts->Encode(text), whole.Encode(text));
  EXPECT_TRUE(parts->IsSpecial(parts->size() - 1));
}

TEST_F(TokenizerFiles, SameCorpusSameFiles) {
  directory_.Write("corpus.txt", Join(kSentences));
  for (const char* name : {"one", "two"}) {
    ASSERT_TRUE(Train(directory_.Path("corpus.txt"), directory_.Path(name)).ok());
  }
  for (const std::string& file : kFiles) {
    const std::string contents = ReadAll(directory_.Path("one/" + file));
    EXPECT_FALSE(contents.empty()) << file;
    EXPECT_EQ(contents, ReadAll(directory_.Path("two/" + file))) << file;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_.Path("one")), {}),
            static_cast<std::ptrdiff_t>(kFiles.size()));
}

TEST_F(TokenizerFiles, OutputThatCannotBeWritten) {
  directory_.Write("corpus.txt", Join(kSentences));
  const std::string corpus = directory_.Path("corpus.txt");
  const Status status = Train(corpus, corpus);
  EXPECT_EQ(status.code(), StatusCode::kIoError);
  EXPECT_THAT(status.message(), HasSubstr("corpus.txt"));
}

// What transformers makes of the files: tests/reference/make_trainer_golden.py.
class TransformersGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Json> golden = ReadJsonObject(
        std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/trainer/tokenizer.json", 1 << 20);
    ASSERT_TRUE(golden.ok()) << golden.status().message();
    golden_ = std::move(golden).value();
    directory_.Write("corpus.txt", Join(golden_["corpus"]));
    const Status status = Train(directory_.Path("corpus.txt"), directory_.path());
    ASSERT_TRUE(status.ok()) << status.message();
    Result<Tokenizer> tokenizer = Tokenizer::Load(directory_.path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_.emplace(std::move(tokenizer).value());
  }

  TemporaryDirectory directory_;
  Json golden_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_F(TransformersGolden, Ids) {
  EXPECT_EQ(tokenizer_->size(), golden_["size"]);
  ASSERT_GT(golden_["texts"].size(), 10u);
  for (const Json& text : golden_["texts"]) {
    EXPECT_EQ(Json(tokenizer_->Encode(text["text"].get<std::string>())), text["ids"]) << text;
  }
}

TEST_F(TransformersGolden, ChatTemplateIsOurPrompt) {
  ASSERT_EQ(golden_["chat_template"], kChatTemplate) << "make the golden file again";
  ASSERT_GT(golden_["chats"].size(), 4u);
  for (const Json& chat : golden_["chats"]) {
    std::vector<ChatTurn> turns;
    for (const Json& turn : chat["turns"]) {
      const std::string role = turn["role"];
      turns.push_back({role == "user"     ? ChatRole::kUser
                       : role == "system" ? ChatRole::kSystem
                                          : ChatRole::kAssistant,
                       turn["text"], turn["images"]});
    }
    const Result<std::string> prompt = BuildPrompt(turns, chat["add_generation_prompt"]);
    ASSERT_TRUE(prompt.ok()) << prompt.status().message();
    EXPECT_EQ(*prompt, chat["prompt"].get<std::string>());
    std::vector<int32_t> ids = TokenizePrompt(*tokenizer_, *prompt);
    for (int32_t& id : ids) {
      if (id == kImageTokenIndex) id = *tokenizer_->TokenId(kImageToken);
    }
    EXPECT_EQ(Json(ids), chat["ids"]);
  }
}

}  // namespace
}  // namespace fastvlm::train
