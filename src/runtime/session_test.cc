#include "fastvlm/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/fastvlm.h"
#include "support/paths.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

GenerateOptions MaxTokens(int count) {
  GenerateOptions options;
  options.max_tokens = count;
  return options;
}

UserTurn Text(const std::string& text) {
  UserTurn turn;
  turn.text = text;
  return turn;
}

UserTurn Picture(const std::string& text) {
  UserTurn turn = Text(text);
  turn.images.push_back(Image::FromFile(kGoldenData + "images/wide.png").value());
  turn.encode.width = turn.encode.height = 128;
  return turn;
}

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() : model_(Model::Load(kTinyModel).value()) {}

  Session NewSession(int64_t context_tokens = 0) const {
    SessionOptions options;
    options.context_tokens = context_tokens;
    return Session::Create(model_, options).value();
  }

  std::shared_ptr<const Model> model_;
};

// Greedy ids after `prompt`, computed without a session: everything from the start for each token.
std::vector<int32_t> Recomputed(const std::vector<int32_t>& prompt, int count) {
  const Checkpoint checkpoint = Checkpoint::Open(kTinyModel).value();
  const Tokenizer tokenizer = Tokenizer::Load(kTinyModel).value();
  ThreadPool pool(1);
  const FastVlm model(checkpoint, tokenizer.size(), Precision::kF32, pool);
  const DecoderConfig& config = model.decoder().config();
  std::vector<int32_t> ids = prompt;
  std::vector<float> logits(static_cast<size_t>(model.decoder().vocabulary()));
  for (int i = 0; i < count; ++i) {
    const int64_t tokens = static_cast<int64_t>(ids.size());
    std::vector<float> x(static_cast<size_t>(tokens * config.hidden));
    model.decoder().Embed(ids.data(), tokens, x.data());
    KvCache cache(config, tokens);
    DecoderWorkspace workspace(model.decoder(), tokens, tokens, 1);
    model.decoder().Forward(x.data(), tokens, cache, workspace, pool);
    model.decoder().Logits(x.data() + (tokens - 1) * config.hidden, logits.data(), workspace, pool);
    ids.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  return {ids.begin() + static_cast<ptrdiff_t>(prompt.size()), ids.end()};
}

TEST_F(SessionTest, ASecondTurnEqualsTheWholeConversationFromTheStart) {
  Session session = NewSession();
  const Answer first = session.Ask(Text("Hello there"), MaxTokens(6)).value();
  const int64_t used = session.context_used();
  EXPECT_EQ(used, first.prompt_tokens + 6);
  const Answer second = session.Ask(Text("And now?"), MaxTokens(6)).value();
  EXPECT_EQ(session.context_used(), used + second.prompt_tokens + 6);

  const Tokenizer tokenizer = Tokenizer::Load(kTinyModel).value();
  const ChatTurn turn{ChatRole::kUser, "Hello there", 0};
  const ChatTurn next{ChatRole::kUser, "And now?", 0};
  std::vector<int32_t> ids = TokenizePrompt(tokenizer, BuildPrompt({&turn, 1}).value());
  EXPECT_EQ(first.token_ids, Recomputed(ids, 6));
  ids.insert(ids.end(), first.token_ids.begin(), first.token_ids.end());
  for (int32_t id : TokenizePrompt(tokenizer, ContinuePrompt(next).value())) ids.push_back(id);
  EXPECT_EQ(second.token_ids, Recomputed(ids, 6));
}

TEST_F(SessionTest, ResetForgets) {
  Session session = NewSession();
  const Answer first = session.Ask(Picture("What?"), MaxTokens(5)).value();
  ASSERT_TRUE(session.Ask(Text("More"), MaxTokens(5)).ok());
  session.Reset();
  EXPECT_EQ(session.context_used(), 0);
  EXPECT_EQ(session.Ask(Picture("What?"), MaxTokens(5)).value().token_ids, first.token_ids);
}

TEST_F(SessionTest, AnErrorLeavesTheConversationAsItWas) {
  Session session = NewSession();
  Session untouched = NewSession();
  for (Session* s : {&session, &untouched}) ASSERT_TRUE(s->Ask(Picture("One"), MaxTokens(4)).ok());
  const int64_t used = session.context_used();

  UserTurn wrong_size = Picture("Two");
  wrong_size.encode.width = 100;
  EXPECT_EQ(session.Ask(wrong_size, MaxTokens(4)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(session.Ask(Text("<image>"), MaxTokens(4)).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(session.Ask(Text("Two"), MaxTokens(0)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(session.context_used(), used);
  EXPECT_EQ(session.Ask(Text("Two"), MaxTokens(8)).value().token_ids,
            untouched.Ask(Text("Two"), MaxTokens(8)).value().token_ids);
}

TEST_F(SessionTest, ContextLimit) {
  const int64_t prompt_tokens = NewSession().Ask(Text("Hi"), MaxTokens(1)).value().prompt_tokens;
  Session session = NewSession(prompt_tokens + 3);
  const Answer answer = session.Ask(Text("Hi"), MaxTokens(1000)).value();
  EXPECT_EQ(answer.finish_reason, FinishReason::kLength);
  EXPECT_EQ(answer.token_ids.size(), 4u);  // the last one needs no place
  const Status status = session.Ask(Text("More"), MaxTokens(4)).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("context"), HasSubstr(std::to_string(prompt_tokens + 3))));
  SessionOptions options;
  options.context_tokens = 1 << 30;
  EXPECT_EQ(Session::Create(model_, options).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SessionTest, TheStreamIsTheAnswer) {
  std::string streamed;
  Session session = NewSession();
  const Answer answer = session
                            .Ask(Picture("Tell me"), MaxTokens(32),
                                 [&](std::string_view piece) {
                                   EXPECT_FALSE(piece.empty());
                                   streamed += piece;
                                   return true;
                                 })
                            .value();
  const size_t end = streamed.find_last_not_of(" \t\n\r\v\f");
  EXPECT_EQ(streamed.substr(0, end + 1), answer.text);
}

TEST_F(SessionTest, TheCallbackEndsTheAnswerAndTheConversationGoesOn) {
  Session session = NewSession();
  int pieces = 0;
  const Answer answer =
      session.Ask(Picture("Tell me"), MaxTokens(32), [&](std::string_view) { return ++pieces < 3; })
          .value();
  EXPECT_EQ(answer.finish_reason, FinishReason::kCancelled);
  EXPECT_LT(answer.token_ids.size(), 32u);
  EXPECT_TRUE(session.Ask(Text("Go on"), MaxTokens(4)).ok());
}

TEST_F(SessionTest, ProgressReachesTheEndOfBothPhases) {
  std::map<AskPhase, double> last;
  Session session = NewSession();
  const auto progress = [&](AskPhase phase, double fraction) {
    EXPECT_GE(fraction, last[phase]);
    last[phase] = fraction;
  };
  ASSERT_TRUE(session.Ask(Picture("What?"), MaxTokens(1), {}, progress).ok());
  EXPECT_NEAR(last[AskPhase::kEncode], 1.0, 1e-9);
  EXPECT_EQ(last[AskPhase::kPrefill], 1.0);
}

TEST_F(SessionTest, TwoSessionsShareAModel) {
  Session a = NewSession();
  Session b = NewSession();
  const Answer first = a.Ask(Text("One"), MaxTokens(6)).value();
  ASSERT_TRUE(b.Ask(Picture("Other"), MaxTokens(6)).ok());
  const Answer second = a.Ask(Text("Two"), MaxTokens(6)).value();
  Session alone = NewSession();
  EXPECT_EQ(alone.Ask(Text("One"), MaxTokens(6)).value().token_ids, first.token_ids);
  EXPECT_EQ(alone.Ask(Text("Two"), MaxTokens(6)).value().token_ids, second.token_ids);
}

}  // namespace
}  // namespace fastvlm
