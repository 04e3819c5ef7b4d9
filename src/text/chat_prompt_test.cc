#include "text/chat_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

const std::string kSystem = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";

TEST(BuildPromptTest, OneImageIsTheReferenceString) {
  EXPECT_EQ(BuildPrompt({{ChatTurn{ChatRole::kUser, "What are these?", 1}}}).value(),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            "<image>\nWhat are these?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(BuildPromptTest, WithoutGenerationPrompt) {
  EXPECT_EQ(BuildPrompt({{ChatTurn{ChatRole::kUser, "Hi", 0}}}, false).value(),
            kSystem + "<|im_start|>user\nHi<|im_end|>\n");
}

TEST(BuildPromptTest, SeveralImagesStandBeforeTheText) {
  EXPECT_EQ(BuildPrompt({{ChatTurn{ChatRole::kUser, "Compare.", 2}}}).value(),
            kSystem +
                "<|im_start|>user\n<image>\n<image>\nCompare.<|im_end|>\n"
                "<|im_start|>assistant\n");
}

TEST(BuildPromptTest, PlaceholdersInTheTextStayWhereTheyAre) {
  const ChatTurn turn{ChatRole::kUser, "Is <image> like <image>?", 2};
  EXPECT_EQ(BuildPrompt({{turn}}).value(),
            kSystem +
                "<|im_start|>user\nIs <image> like <image>?<|im_end|>\n"
                "<|im_start|>assistant\n");
}

TEST(BuildPromptTest, OwnSystemText) {
  const std::vector<ChatTurn> turns = {{ChatRole::kSystem, "Be brief.", 0},
                                       {ChatRole::kUser, "Hi", 0}};
  EXPECT_EQ(BuildPrompt(turns).value(),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(BuildPromptTest, Errors) {
  const auto message = [](const std::vector<ChatTurn>& turns) {
    const Status status = BuildPrompt(turns).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  };
  EXPECT_THAT(message({}), HasSubstr("at least one turn"));
  EXPECT_THAT(message({{ChatRole::kUser, "<image> and <image>", 1}}),
              HasSubstr("2 \"<image>\" but 1 images"));
  EXPECT_THAT(message({{ChatRole::kUser, "<image>", 0}}), HasSubstr("but 0 images"));
  EXPECT_THAT(message({{ChatRole::kUser, "x", -1}}), HasSubstr("-1 images"));
  EXPECT_THAT(message({{ChatRole::kSystem, "<image>", 0}}), HasSubstr("role system"));
  EXPECT_THAT(message({{ChatRole::kUser, "x", 0}, {ChatRole::kAssistant, "y", 1}}),
              HasSubstr("role assistant has 1 images"));
  EXPECT_THAT(message({{ChatRole::kUser, "x", 0}, {ChatRole::kSystem, "y", 0}}),
              HasSubstr("turn 2 has the role system"));
}

TEST(ContinuePromptTest, ExtendsToTheLongerConversation) {
  const ChatTurn first{ChatRole::kUser, "What is this?", 1};
  const ChatTurn answer{ChatRole::kAssistant, "A cat.", 0};
  for (const ChatTurn& second :
       {ChatTurn{ChatRole::kUser, "Which colour?", 0}, ChatTurn{ChatRole::kUser, "And this?", 2}}) {
    EXPECT_EQ(BuildPrompt({{first}}).value() + answer.text + ContinuePrompt(second).value(),
              BuildPrompt({{first, answer, second}}).value());
  }
  EXPECT_EQ(ContinuePrompt({ChatRole::kUser, "And?", 0}).value(),
            "<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ContinuePromptTest, Errors) {
  EXPECT_EQ(ContinuePrompt({ChatRole::kAssistant, "x", 0}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(ContinuePrompt({ChatRole::kUser, "<image>", 3}).status().code(),
            StatusCode::kInvalidArgument);
}

class TokenizePromptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Tokenizer> tokenizer = Tokenizer::Load(FASTVLM_SOURCE_DIR "/tests/golden/text/json");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(tokenizer));
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

// This vocabulary has a token "<image>" as the transformers layout does.
TEST_F(TokenizePromptTest, PlaceholdersNeverReachTheVocabulary) {
  ASSERT_TRUE(tokenizer_->TokenId("<image>").has_value());
  EXPECT_EQ(TokenizePrompt(*tokenizer_, "<image>"), std::vector<int32_t>{kImageTokenIndex});
  EXPECT_EQ(TokenizePrompt(*tokenizer_, ""), std::vector<int32_t>{});
  EXPECT_EQ(TokenizePrompt(*tokenizer_, "<image><image>"),
            (std::vector<int32_t>{kImageTokenIndex, kImageTokenIndex}));
}

TEST_F(TokenizePromptTest, TextOnEitherSideIsTokenizedAlone) {
  std::vector<int32_t> expected = tokenizer_->Encode("look at \n");
  expected.push_back(kImageTokenIndex);
  const std::vector<int32_t> rest = tokenizer_->Encode("\n\nnow<|im_end|>");
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(TokenizePrompt(*tokenizer_, "look at \n<image>\n\nnow<|im_end|>"), expected);
  EXPECT_EQ(expected.back(), tokenizer_->TokenId("<|im_end|>").value());
}

// As the reference: a control token in user text is that token.
TEST_F(TokenizePromptTest, ControlTokensInUserTextTakeEffect) {
  const ChatTurn turn{ChatRole::kUser, "a<|im_end|>b", 0};
  const std::vector<int32_t> ids = TokenizePrompt(*tokenizer_, BuildPrompt({{turn}}).value());
  EXPECT_EQ(std::count(ids.begin(), ids.end(), tokenizer_->TokenId("<|im_end|>").value()), 3);
}

}  // namespace
}  // namespace fastvlm
