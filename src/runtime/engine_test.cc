// One request after the other: answers, and what requests may ask for.
#include "fastvlm/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/engine_fixture.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

TEST_F(EngineTest, AnswersAsASession) {
  const auto engine = NewEngine();
  for (const EngineRequest& request :
       {Ask("fox", "Describe the image."), Ask("", "What is this?"),
        Ask("text", "What does the text say?"), Ask("group", "Where is it?", 1)}) {
    const Answer expected = Alone(request);
    Collector collector;
    ASSERT_TRUE(engine->Submit(request, collector.Callback()).ok());
    const Answer& answer = collector.Wait();
    EXPECT_EQ(answer.token_ids, expected.token_ids);
    EXPECT_EQ(answer.text, expected.text);
    EXPECT_EQ(collector.streamed(), expected.text);
    EXPECT_EQ(answer.prompt_tokens, expected.prompt_tokens);
    EXPECT_EQ(answer.image_tokens, expected.image_tokens);
    EXPECT_EQ(answer.finish_reason, expected.finish_reason);
    EXPECT_GT(answer.timings.ttft_ms, 0);
  }
  EXPECT_EQ(engine->stats().requests, 4);
  EXPECT_EQ(engine->stats().active, 0);
}

TEST_F(EngineTest, AStopTextEndsTheAnswerBeforeIt) {
  const auto engine = NewEngine();
  EngineRequest request = Ask("fox", "Describe the image.");
  const std::string whole = Run(*engine, request).text;
  ASSERT_GT(whole.size(), 20u);
  const std::string stop = whole.substr(9, 7);
  request.stop = {"never said", stop};
  Collector collector;
  ASSERT_TRUE(engine->Submit(request, collector.Callback()).ok());
  const Answer& answer = collector.Wait();
  const std::string expected = whole.substr(0, whole.find(stop));
  EXPECT_EQ(answer.text, expected.substr(0, expected.find_last_not_of(' ') + 1));
  EXPECT_EQ(collector.streamed(), answer.text);
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
}

TEST_F(EngineTest, LogProbabilitiesAreThoseOfTheModel) {
  const auto engine = NewEngine();
  EngineRequest request = Ask("fox", "Describe the image.");
  request.top_logprobs = 5;
  Collector collector;
  ASSERT_TRUE(engine->Submit(request, collector.Callback()).ok());
  const Answer& answer = collector.Wait();
  ASSERT_EQ(answer.finish_reason, FinishReason::kStop);
  ASSERT_EQ(collector.tokens().size(), answer.token_ids.size() - 1);  // all but the end
  ASSERT_EQ(collector.alternatives().size(), collector.tokens().size());
  std::string bytes;
  for (size_t i = 0; i < collector.tokens().size(); ++i) {
    const TokenLogprob& token = collector.tokens()[i];
    const std::vector<TokenLogprob>& others = collector.alternatives()[i];
    EXPECT_EQ(token.token, answer.token_ids[i]);
    ASSERT_EQ(others.size(), 5u);
    EXPECT_EQ(others[0].token, token.token);  // the likeliest was taken
    EXPECT_EQ(others[0].logprob, token.logprob);
    double sum = 0;
    for (size_t j = 0; j < others.size(); ++j) {
      sum += std::exp(double{others[j].logprob});
      if (j > 0) {
        EXPECT_LE(others[j].logprob, others[j - 1].logprob);
      }
    }
    EXPECT_LE(sum, 1 + 1e-5);
    EXPECT_GT(sum, 0.5);
    bytes += token.bytes;
  }
  EXPECT_EQ(bytes, answer.text);
}

TEST_F(EngineTest, TheSeedDecides) {
  const auto engine = NewEngine();
  EngineRequest request = Ask("", "Tell me something.", 24);
  request.generate.sampling.temperature = 1.5f;
  request.generate.sampling.top_k = 0;
  std::vector<std::vector<int32_t>> answers;
  for (uint64_t seed : {7, 7, 8}) {
    request.generate.sampling.seed = seed;
    answers.push_back(Run(*engine, request).token_ids);
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_NE(answers[0], answers[2]);
}

TEST_F(EngineTest, APromptGoesOnAsItIs) {
  const auto engine = NewEngine();
  const Answer chat = Run(*engine, Ask("", "What is this?"));
  EngineRequest request;
  request.prompt =
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is "
      "this?<|im_end|>\n<|im_start|>assistant\n";
  request.generate.max_tokens = 48;
  const Answer answer = Run(*engine, request);
  EXPECT_EQ(answer.token_ids, chat.token_ids);
  EXPECT_EQ(answer.prompt_tokens, chat.prompt_tokens);
}

TEST_F(EngineTest, BadRequestsAreRefusedWithReasons) {
  const auto engine = NewEngine();
  const auto expect = [&](const EngineRequest& request, StatusCode code, const char* text) {
    const Status status = engine->Submit(request, {}).status();
    EXPECT_EQ(status.code(), code) << text;
    EXPECT_THAT(status.message(), HasSubstr(text));
  };
  const EngineRequest good = Ask("fox", "What is this?");
  EngineRequest bad;
  expect(bad, StatusCode::kInvalidArgument, "message");
  bad = good;
  bad.messages[0].role = Role::kAssistant;
  expect(bad, StatusCode::kInvalidArgument, "only user turns");
  bad = good;
  bad.generate.max_tokens = 0;
  expect(bad, StatusCode::kInvalidArgument, "max_tokens");
  bad = good;
  bad.top_logprobs = 21;
  expect(bad, StatusCode::kInvalidArgument, "top_logprobs");
  bad = good;
  bad.stop = {""};
  expect(bad, StatusCode::kInvalidArgument, "stop text");
  bad = good;
  bad.prompt = "Hello";
  expect(bad, StatusCode::kInvalidArgument, "both");
  bad = {};
  bad.prompt = "<image>";
  expect(bad, StatusCode::kInvalidArgument, "<image>");
  bad = {};
  bad.prompt = "";
  expect(bad, StatusCode::kInvalidArgument, "0 tokens");
  bad = good;
  bad.encode.width = 100;
  expect(bad, StatusCode::kInvalidArgument, "multiples");
  bad = Ask("", std::string(5000, '?'));
  expect(bad, StatusCode::kInvalidArgument, "context");
  bad = good;
  bad.timeout_ms = -1;
  expect(bad, StatusCode::kInvalidArgument, "timeout_ms");
  EngineOptions options;
  options.max_active = 0;
  EXPECT_EQ(Engine::Create(model_, options).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->stats().requests, 0);
}

TEST_F(EngineTest, AnAnswerFollowsItsSchema) {
  const auto engine = NewEngine();
  EngineRequest request = Ask("fox", "Describe the image.", 200);
  request.generate.sampling.temperature = 1;
  request.generate.sampling.top_k = 0;
  const Answer free = Alone(request);
  request.generate.json_schema = R"({"type": "object", "additionalProperties": false,
      "properties": {"color": {"enum": ["red", "dark blue"]}, "many": {"type": "boolean"}},
      "required": ["color", "many"]})";
  std::vector<Collector> collectors(6);
  for (size_t i = 0; i < collectors.size(); ++i) {
    request.generate.sampling.seed = i;
    ASSERT_TRUE(engine->Submit(request, collectors[i].Callback()).ok());
  }
  // One without beside them, which must not be bound.
  request.generate.json_schema.clear();
  request.generate.sampling.seed = 0;
  EXPECT_EQ(Run(*engine, request).token_ids, free.token_ids);
  for (Collector& collector : collectors) {
    const Answer& answer = collector.Wait();
    EXPECT_EQ(answer.finish_reason, FinishReason::kStop) << answer.text;
    const auto json = nlohmann::json::parse(answer.text, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << answer.text;
    EXPECT_EQ(json.size(), 2u) << answer.text;
    EXPECT_TRUE(json.value("color", "") == "red" || json.value("color", "") == "dark blue");
    EXPECT_TRUE(json["many"].is_boolean()) << answer.text;
  }
  request.generate.json_schema = "{";
  EXPECT_EQ(engine->Submit(request, {}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, TheContextEndsAnAnswer) {
  EngineOptions options;
  const EngineRequest request = Ask("", "Tell me a long story.", 900);
  options.context_tokens = Alone(request).prompt_tokens + 3;
  const auto engine = NewEngine(options);
  const Answer answer = Run(*engine, request);
  EXPECT_LE(answer.token_ids.size(), 4u);  // the last one needs no place
  EXPECT_EQ(answer.finish_reason,
            answer.token_ids.size() == 4 ? FinishReason::kLength : FinishReason::kStop);
}

}  // namespace
}  // namespace fastvlm
