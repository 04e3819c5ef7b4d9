#include "runtime/prompt.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

TokenSequence Sequence(std::vector<int32_t> ids, std::vector<PictureSpan> pictures = {}) {
  return {std::move(ids), std::move(pictures)};
}

Hash256 Key(uint8_t first) {
  Hash256 key = {};
  key[0] = first;
  return key;
}

constexpr int32_t kP = kImageTokenIndex;

TEST(CommonPrefixTest, ComparesTextAndPictures) {
  EXPECT_EQ(CommonPrefix(Sequence({1, 2, 3}), Sequence({1, 2, 4, 5})), 2);
  EXPECT_EQ(CommonPrefix(Sequence({1, 2}), Sequence({1, 2, 4})), 2);
  EXPECT_EQ(CommonPrefix(Sequence({}), Sequence({1})), 0);
  const TokenSequence a = Sequence({1, kP, kP, 2, 3}, {{1, 2, Key(1)}});
  EXPECT_EQ(CommonPrefix(a, Sequence({1, kP, kP, 2, 4}, {{1, 2, Key(1)}})), 4);
  EXPECT_EQ(CommonPrefix(a, Sequence({1, kP, kP, 2, 3}, {{1, 2, Key(2)}})), 1);
  // The cache of a prompt that ended within its picture.
  EXPECT_EQ(CommonPrefix(a, Sequence({1, kP}, {{1, 2, Key(1)}})), 2);
  // Two pictures of two tokens are not one of four.
  EXPECT_EQ(CommonPrefix(Sequence({kP, kP, kP, kP}, {{0, 2, Key(1)}, {2, 2, Key(1)}}),
                         Sequence({kP, kP, kP, kP}, {{0, 4, Key(1)}})),
            0);
  EXPECT_EQ(CommonPrefix(Sequence({kP, kP, kP, kP}, {{0, 2, Key(1)}, {2, 2, Key(1)}}),
                         Sequence({kP, kP, kP, kP}, {{0, 2, Key(1)}, {2, 2, Key(3)}})),
            2);
}

TEST(PictureKeyTest, DependsOnAllThatTheTokensDependOn) {
  Image image{2, 1, {1, 2, 3, 4, 5, 6}};
  const Hash256 key = PictureKey(image, 64, 128, Fit::kPad);
  EXPECT_EQ(PictureKey(image, 64, 128, Fit::kPad), key);
  EXPECT_NE(PictureKey(image, 128, 64, Fit::kPad), key);
  EXPECT_NE(PictureKey(image, 64, 128, Fit::kCrop), key);
  std::swap(image.width, image.height);
  EXPECT_NE(PictureKey(image, 64, 128, Fit::kPad), key);
  std::swap(image.width, image.height);
  image.pixels[5] = 7;
  EXPECT_NE(PictureKey(image, 64, 128, Fit::kPad), key);
}

TEST(ExpandPicturesTest, GivesEachPictureItsPlaces) {
  const int32_t ids[] = {5, kP, 6, kP};
  const TokenSequence sequence = ExpandPictures(ids, 3);
  EXPECT_EQ(sequence.ids, (std::vector<int32_t>{5, kP, kP, kP, 6, kP, kP, kP}));
  ASSERT_EQ(sequence.pictures.size(), 2u);
  EXPECT_EQ(sequence.pictures[0].start, 1);
  EXPECT_EQ(sequence.pictures[1].start, 5);
  EXPECT_EQ(sequence.pictures[1].tokens, 3);
}

class ConversationTest : public ::testing::Test {
 protected:
  static std::string Prompt(const std::vector<Message>& messages) {
    const Result<Conversation> conversation = ToConversation(messages);
    if (!conversation.ok()) return conversation.status().message();
    const Result<std::string> prompt = BuildPrompt(conversation->turns);
    return prompt.ok() ? *prompt : prompt.status().message();
  }
  static Message User(std::vector<ContentPart> parts) { return {Role::kUser, std::move(parts)}; }
  // The user's part of a prompt of one message.
  static std::string Content(std::vector<ContentPart> parts) {
    const std::string prompt = Prompt({User(std::move(parts))});
    const std::string begin = "<|im_start|>user\n", end = "<|im_end|>\n<|im_start|>assistant\n";
    const size_t first = prompt.find(begin);
    if (first == std::string::npos || !prompt.ends_with(end)) return prompt;
    const size_t at = first + begin.size();
    return prompt.substr(at, prompt.size() - end.size() - at);
  }

  const ContentPart picture_{"", std::make_shared<const Image>()};
};

TEST_F(ConversationTest, PicturesStandWhereTheModelWasTrainedToSeeThem) {
  EXPECT_EQ(Content({picture_, {"What?", nullptr}}), "<image>\nWhat?");
  EXPECT_EQ(Content({{"What?", nullptr}, picture_}), "<image>\nWhat?");
  EXPECT_EQ(Content({{"What?", nullptr}}), "What?");
  EXPECT_EQ(Content({{"One:", nullptr}, picture_, {"Two:", nullptr}, picture_}),
            "One:\n<image>\nTwo:\n<image>\n");
  EXPECT_EQ(Content({picture_, picture_, {"a", nullptr}, {"b", nullptr}}),
            "<image>\n<image>\na\nb");
  EXPECT_EQ(Content({picture_, {"Is <image> this?", nullptr}}), "Is <image> this?");
}

TEST_F(ConversationTest, RolesTakeTurns) {
  EXPECT_EQ(Prompt({{Role::kSystem, {{"Be brief.", nullptr}}},
                    User({picture_, {"What?", nullptr}}),
                    {Role::kAssistant, {{"A fox.", nullptr}}},
                    User({{"Where?", nullptr}})}),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\nWhat?<|im_end|>\n"
            "<|im_start|>assistant\nA fox.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST_F(ConversationTest, RefusesWhatCannotBeAnswered) {
  EXPECT_NE(Prompt({}).find("found none"), std::string::npos);
  EXPECT_NE(Prompt({{Role::kSystem, {{"Hi", nullptr}}}}).find("system"), std::string::npos);
  EXPECT_NE(Prompt({{Role::kAssistant, {picture_}}}).find("only user turns"), std::string::npos);
  EXPECT_NE(Content({{"<image> here?", nullptr}}).find("0 images"), std::string::npos);
}

}  // namespace
}  // namespace fastvlm
