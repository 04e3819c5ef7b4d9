#include "fastvlm/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fastvlm/session.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

const std::string kNano = std::string(FASTVLM_SOURCE_DIR) + "/models/nano";

std::shared_ptr<const Image> Picture(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const Image>> pictures;
  auto& picture = pictures[name];
  if (picture == nullptr) {
    picture =
        std::make_shared<const Image>(Image::FromFile(kNano + "/samples/" + name + ".png").value());
  }
  return picture;
}

EngineRequest Ask(const std::string& picture, const std::string& text, int max_tokens = 48) {
  EngineRequest request;
  Message message;
  if (!picture.empty()) message.content.push_back({"", Picture(picture)});
  message.content.push_back({text, nullptr});
  request.messages.push_back(std::move(message));
  request.generate.max_tokens = max_tokens;
  return request;
}

// Gathers the events of one request.
class Collector {
 public:
  EngineCallback Callback() {
    return [this](const EngineEvent& event) {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(ended_) << "an event after the end";
      streamed_ += event.text;
      if (event.token != nullptr) tokens_.push_back(*event.token);
      if (!event.alternatives.empty()) alternatives_.push_back(event.alternatives);
      if (event.answer != nullptr) answer_ = *event.answer;
      status_ = event.status;
      ended_ = event.answer != nullptr || !event.status.ok();
      ++events_;
      news_.notify_all();
      return wanted_ < 0 || events_ < wanted_;
    };
  }
  void CancelAfter(int events) { wanted_ = events; }
  void WaitForEvents(int count) {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return ended_ || events_ >= count; });
  }
  const Answer& Wait() {
    WaitForEnd();
    EXPECT_TRUE(status_.ok()) << status_.message();
    return answer_;
  }
  Status WaitForStatus() {
    WaitForEnd();
    return status_;
  }
  const std::string& streamed() const { return streamed_; }
  const std::vector<TokenLogprob>& tokens() const { return tokens_; }
  const std::vector<std::vector<TokenLogprob>>& alternatives() const { return alternatives_; }

 private:
  void WaitForEnd() {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return ended_; });
  }

  std::mutex mutex_;
  std::condition_variable news_;
  int wanted_ = -1;
  int events_ = 0;
  bool ended_ = false;
  std::string streamed_;
  std::vector<TokenLogprob> tokens_;
  std::vector<std::vector<TokenLogprob>> alternatives_;
  Answer answer_;
  Status status_;
};

std::shared_ptr<const Model> LoadNano(Precision precision) {
  ModelOptions options;
  options.precision = precision;
  options.threads = 1;
  return Model::Load(kNano, options).value();
}

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = LoadNano(Precision::kF32); }
  static void TearDownTestSuite() { model_.reset(); }

  static std::unique_ptr<Engine> NewEngine(const EngineOptions& options = {}) {
    return Engine::Create(model_, options).value();
  }
  static Answer Run(Engine& engine, EngineRequest request) {
    Collector collector;
    EXPECT_TRUE(engine.Submit(std::move(request), collector.Callback()).ok());
    return collector.Wait();
  }
  // What a session of its own answers to a request of one message.
  static Answer Alone(const EngineRequest& request,
                      const std::shared_ptr<const Model>& model = model_) {
    UserTurn turn;
    for (const ContentPart& part : request.messages.back().content) {
      if (part.image != nullptr) {
        turn.images.push_back(*part.image);
      } else {
        turn.text = part.text;
      }
    }
    turn.encode = request.encode;
    Session session = Session::Create(model).value();
    return session.Ask(turn, request.generate).value();
  }

  static std::shared_ptr<const Model> model_;
};
std::shared_ptr<const Model> EngineTest::model_;

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

const char* const kPictures[] = {"fox", "count", "text", "group", "bell", "demo"};
const char* const kQuestions[] = {"Describe the image.", "How many objects are there?",
                                  "What does the text say?", "What color is the background?"};

// Different requests from several threads at random times, each with the answer it has alone.
struct Crowd {
  static constexpr int kThreads = 4;
  std::vector<EngineRequest> requests;
  std::vector<Answer> expected;
  std::vector<Collector> collectors;

  Crowd(int size, const std::function<Answer(const EngineRequest&)>& alone);
  void SubmitAll(Engine& engine);
  void ExpectAnswersAsAlone();
};

Crowd::Crowd(int size, const std::function<Answer(const EngineRequest&)>& alone)
    : collectors(static_cast<size_t>(size)) {
  std::mt19937 random(1);
  const auto pick = [&](int count) {
    return static_cast<int>(random() % static_cast<uint32_t>(count));
  };
  for (int i = 0; i < size; ++i) {
    EngineRequest request =
        Ask(i % 5 == 0 ? "" : kPictures[pick(6)],
            kQuestions[pick(4)] + std::string(static_cast<size_t>(pick(40)), '!'), 1 + pick(40));
    if (i % 3 == 0) {
      request.generate.sampling.temperature = 0.8f;
      request.generate.sampling.seed = static_cast<uint64_t>(i);
    }
    if (i % 7 == 0) request.encode.width = request.encode.height = 128;
    expected.push_back(alone(request));
    requests.push_back(std::move(request));
  }
}

void Crowd::SubmitAll(Engine& engine) {
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      for (size_t i = t; i < requests.size(); i += kThreads) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
        ASSERT_TRUE(engine.Submit(requests[i], collectors[i].Callback()).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void Crowd::ExpectAnswersAsAlone() {
  for (size_t i = 0; i < requests.size(); ++i) {
    const Answer& answer = collectors[i].Wait();
    EXPECT_EQ(answer.token_ids, expected[i].token_ids) << "request " << i;
    EXPECT_EQ(answer.text, expected[i].text) << "request " << i;
  }
}

// What one user gets does not depend on who else is there.
TEST_F(EngineTest, AnswersOfManyAreThoseOfEachAlone) {
  Crowd crowd(32, [](const EngineRequest& request) { return Alone(request); });
  EngineOptions options;
  options.max_active = 6;
  const auto engine = NewEngine(options);
  crowd.SubmitAll(*engine);
  crowd.ExpectAnswersAsAlone();
  EXPECT_EQ(engine->stats().requests, 32);
  EXPECT_GT(engine->stats().cached_prompt_tokens, 0);
}

TEST_F(EngineTest, SoTheyAreInEightBits) {
  const auto model = LoadNano(Precision::kQ8);
  Crowd crowd(12, [&](const EngineRequest& request) { return Alone(request, model); });
  const auto engine = Engine::Create(model).value();
  crowd.SubmitAll(*engine);
  crowd.ExpectAnswersAsAlone();
}

TEST_F(EngineTest, ASecondQuestionAboutAPictureComputesOnlyItsOwnTokens) {
  const auto engine = NewEngine();
  const Answer first = Run(*engine, Ask("fox", "Describe the image."));
  EXPECT_EQ(first.cached_tokens, 0);
  const EngineRequest question = Ask("fox", "What color is the background?");
  const Answer second = Run(*engine, question);
  EXPECT_EQ(second.token_ids, Alone(question).token_ids);
  EXPECT_GT(second.cached_tokens, first.image_tokens);
  const Answer again = Run(*engine, question);
  EXPECT_EQ(again.token_ids, second.token_ids);
  EXPECT_EQ(again.cached_tokens, again.prompt_tokens - 1);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.images_encoded, 1);
  EXPECT_EQ(stats.image_cache_hits, 0);  // not even asked: keys and values are there
  EXPECT_EQ(stats.prefix_cache_hits, 2);
  EXPECT_EQ(stats.prompt_tokens, first.prompt_tokens + 2 * second.prompt_tokens);
  EXPECT_EQ(stats.cached_prompt_tokens, second.cached_tokens + again.cached_tokens);
}

TEST_F(EngineTest, ASecondQuestionWaitsForTheFirstToShareItsPrefix) {
  const auto engine = NewEngine();
  Collector a, b;
  ASSERT_TRUE(engine->Submit(Ask("fox", "Describe the image."), a.Callback()).ok());
  ASSERT_TRUE(engine->Submit(Ask("fox", "What is on the left?"), b.Callback()).ok());
  a.Wait();
  EXPECT_GT(b.Wait().cached_tokens, b.Wait().image_tokens);
  EXPECT_EQ(engine->stats().images_encoded, 1);
}

TEST_F(EngineTest, PicturesAreKeptWithoutPrefixes) {
  EngineOptions options;
  options.prefix_cache_bytes = 0;
  const auto engine = NewEngine(options);
  EngineRequest question = Ask("fox", "What is this?");
  const Answer first = Run(*engine, question);
  const Answer second = Run(*engine, question);
  EXPECT_EQ(second.token_ids, first.token_ids);
  EXPECT_EQ(second.cached_tokens, 0);
  EXPECT_EQ(engine->stats().images_encoded, 1);
  EXPECT_EQ(engine->stats().image_cache_hits, 1);
  question.encode.width = question.encode.height = 128;  // another input of the encoder
  Run(*engine, question);
  EXPECT_EQ(engine->stats().images_encoded, 2);
}

TEST_F(EngineTest, CachesKeepToTheirBounds) {
  EngineOptions options;
  const int64_t hidden = model_->info().hidden;
  const int64_t tokens = Alone(Ask("fox", "?", 1)).image_tokens;
  options.image_cache_bytes = 2 * tokens * hidden * 4;
  options.prefix_cache_bytes = 1 << 20;
  const auto engine = NewEngine(options);
  for (int round = 0; round < 2; ++round) {
    for (const char* picture : kPictures) Run(*engine, Ask(picture, "What is this?", 4));
  }
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.image_cache_bytes, options.image_cache_bytes);
  EXPECT_LE(stats.prefix_cache_bytes, options.prefix_cache_bytes);
  EXPECT_GT(stats.prefix_cache_bytes, 0);

  options.image_cache_bytes = options.prefix_cache_bytes = 0;
  const auto forgetful = NewEngine(options);
  Run(*forgetful, Ask("fox", "What is this?", 4));
  Run(*forgetful, Ask("fox", "What is this?", 4));
  EXPECT_EQ(forgetful->stats().images_encoded, 2);
  EXPECT_EQ(forgetful->stats().cached_prompt_tokens, 0);
}

TEST_F(EngineTest, AConversationGoesOnFromWhatIsKnown) {
  Session session = Session::Create(model_).value();
  UserTurn turn;
  turn.text = "Describe the image.";
  turn.images.push_back(*Picture("fox"));
  GenerateOptions generate;
  generate.max_tokens = 48;
  const Answer first = session.Ask(turn, generate).value();
  turn = {};
  turn.text = "What color is the background?";
  const Answer second = session.Ask(turn, generate).value();

  const auto engine = NewEngine();
  EngineRequest request = Ask("fox", "Describe the image.");
  const Answer answer = Run(*engine, request);
  request.messages.push_back({Role::kAssistant, {{answer.text, nullptr}}});
  request.messages.push_back({Role::kUser, {{turn.text, nullptr}}});
  const Answer next = Run(*engine, request);
  EXPECT_EQ(next.token_ids, second.token_ids);
  EXPECT_GE(next.cached_tokens, answer.prompt_tokens);
  EXPECT_EQ(engine->stats().images_encoded, 1);
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
  EXPECT_EQ(collector.streamed(), expected);
  EXPECT_EQ(answer.text, expected.substr(0, expected.find_last_not_of(' ') + 1));
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

TEST_F(EngineTest, TheCallbackCancels) {
  const auto engine = NewEngine();
  Collector collector;
  collector.CancelAfter(3);
  ASSERT_TRUE(engine->Submit(Ask("fox", "Describe the image."), collector.Callback()).ok());
  const Answer& answer = collector.Wait();
  EXPECT_EQ(answer.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.token_ids.size(), 3u);
  EXPECT_EQ(answer.text, collector.streamed());
  EXPECT_EQ(engine->stats().cancelled, 1);
}

// The engine stands still in a callback until Open is called.
class Gate {
 public:
  EngineCallback Around(EngineCallback inner) {
    return [this, inner = std::move(inner)](const EngineEvent& event) {
      std::unique_lock lock(mutex_);
      reached_ = true;
      news_.notify_all();
      news_.wait(lock, [&] { return open_; });
      lock.unlock();
      return inner(event);
    };
  }
  void WaitUntilReached() {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return reached_; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    news_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  bool reached_ = false, open_ = false;
};

TEST_F(EngineTest, TheQueueIsBoundedAndItsRequestsCanBeCancelled) {
  EngineOptions options;
  options.max_active = 1;
  options.max_queued = 2;
  const auto engine = NewEngine(options);
  Gate gate;
  Collector running, queued, cancelled;
  const EngineRequest request = Ask("", "What is this?", 8);
  ASSERT_TRUE(engine->Submit(request, gate.Around(running.Callback())).ok());
  gate.WaitUntilReached();
  ASSERT_TRUE(engine->Submit(request, queued.Callback()).ok());
  const Result<int64_t> id = engine->Submit(request, cancelled.Callback());
  ASSERT_TRUE(id.ok());
  const Status full = engine->Submit(request, {}).status();
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(engine->stats().active, 1);
  EXPECT_EQ(engine->stats().queued, 2);
  EXPECT_EQ(engine->stats().rejected, 1);
  engine->Cancel(*id);
  gate.Open();
  EXPECT_EQ(cancelled.Wait().finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(cancelled.Wait().token_ids.empty());
  EXPECT_EQ(queued.Wait().token_ids, running.Wait().token_ids);
  EXPECT_TRUE(engine->Submit(request, {}).ok());
}

TEST_F(EngineTest, TimeRunsOutInTheQueueAndWhileDecoding) {
  EngineOptions options;
  options.max_active = 1;
  const auto engine = NewEngine(options);
  Gate gate;
  Collector running, queued;
  EngineRequest request = Ask("", "What is this?", 8);
  request.timeout_ms = 20;
  ASSERT_TRUE(engine->Submit(request, gate.Around(running.Callback())).ok());
  ASSERT_TRUE(engine->Submit(request, queued.Callback()).ok());
  // Either the first token or the timeout stands at the gate by then.
  gate.WaitUntilReached();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  gate.Open();
  for (Collector* collector : {&running, &queued}) {
    const Status status = collector->WaitForStatus();
    EXPECT_EQ(status.code(), StatusCode::kTimedOut);
    EXPECT_THAT(status.message(), HasSubstr("timed out"));
  }
  EXPECT_EQ(engine->stats().timed_out, 2);
}

// One request decodes while the picture of another is encoded, and has it cancelled between two
// blocks of the encoder.
TEST_F(EngineTest, OthersDecodeWhileAPictureIsEncodedAndItCanBeCancelled) {
  const auto engine = NewEngine();
  Collector writer, viewer;
  EngineCallback collect = writer.Callback();
  int events = 0;
  Result<int64_t> id = Status();
  EngineRequest text = Ask("", "Tell me a long story.", 60);
  text.generate.sampling.temperature = 3;  // far from any end
  text.generate.sampling.top_k = 0;
  const auto callback = [&](const EngineEvent& event) {
    ++events;
    if (events == 1) id = engine->Submit(Ask("group", "What is this?"), viewer.Callback());
    if (events == 3) {
      EXPECT_TRUE(id.ok());
      if (id.ok()) engine->Cancel(*id);
    }
    return collect(event);
  };
  ASSERT_TRUE(engine->Submit(text, callback).ok());
  EXPECT_EQ(viewer.Wait().finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(viewer.Wait().token_ids.empty());
  EXPECT_GT(writer.Wait().token_ids.size(), 3u);
  EXPECT_EQ(engine->stats().images_encoded, 0);
}

TEST_F(EngineTest, DrainFinishesWhatRuns) {
  const auto engine = NewEngine();
  Collector a, b;
  const EngineRequest request = Ask("fox", "Describe the image.");
  ASSERT_TRUE(engine->Submit(request, a.Callback()).ok());
  ASSERT_TRUE(engine->Submit(request, b.Callback()).ok());
  engine->Drain(600'000);
  EXPECT_EQ(a.Wait().finish_reason, FinishReason::kStop);
  EXPECT_EQ(b.Wait().finish_reason, FinishReason::kStop);
  EXPECT_EQ(engine->Submit(request, {}).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(engine->stats().active, 0);
  EXPECT_EQ(engine->stats().queued, 0);
}

TEST_F(EngineTest, DrainCancelsAfterTheTimeAndSoDoesTheEnd) {
  EngineRequest request = Ask("fox", "Describe the image.", 900);
  request.generate.sampling.temperature = 3;
  request.generate.sampling.top_k = 0;
  Collector drained, left;
  {
    const auto engine = NewEngine();
    ASSERT_TRUE(engine->Submit(request, drained.Callback()).ok());
    drained.WaitForEvents(1);
    engine->Drain(0);
    EXPECT_EQ(engine->stats().cancelled, 1);
    const auto other = NewEngine();
    ASSERT_TRUE(other->Submit(request, left.Callback()).ok());
  }
  EXPECT_EQ(drained.Wait().finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(left.Wait().finish_reason, FinishReason::kCancelled);
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
