// Callbacks run with nothing locked: they may block, use the model, and throw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fastvlm/engine.h"
#include "fastvlm/session.h"
#include "support/engine_fixture.h"
#include "support/paths.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

// A door that a callback stands at until the test opens it.
class Door {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    news_.notify_all();
    news_.wait(lock, [&] { return open_; });
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

class CallbackTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ModelOptions options;
    options.threads = 2;
    model_ = Model::Load(kGoldenData + "apple_tied", options).value();
    picture_ =
        std::make_shared<const Image>(Image::FromFile(kGoldenData + "images/wide.png").value());
    encode_.width = encode_.height = 128;
    generate_.max_tokens = 24;
    turn_.text = "What is this?";
    turn_.images.push_back(*picture_);
    turn_.encode = encode_;
    expected_ = NewSession().Ask(turn_, generate_).value().token_ids;
    visual_ = model_->EncodeVisualTokens(*picture_, encode_).value().values;
  }
  static void TearDownTestSuite() { model_.reset(); }

  static Session NewSession() { return Session::Create(model_).value(); }

  static EngineRequest Request() {
    EngineRequest request;
    request.messages = {{Role::kUser, {{"", picture_}, {turn_.text, nullptr}}}};
    request.encode = encode_;
    request.generate = generate_;
    return request;
  }

  // Every way to use the model, with the right results.
  static void UseTheModel() {
    const Result<Matrix> visual = model_->EncodeVisualTokens(*picture_, encode_);
    ASSERT_TRUE(visual.ok()) << visual.status().message();
    EXPECT_EQ(visual->values, visual_);
    Session session = NewSession();
    const Result<Answer> answer = session.Ask(turn_, generate_);
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->token_ids, expected_);
  }

  static inline std::shared_ptr<const Model> model_;
  static inline std::shared_ptr<const Image> picture_;
  static inline EncodeOptions encode_;
  static inline GenerateOptions generate_;
  static inline UserTurn turn_;
  static inline std::vector<int32_t> expected_;
  static inline std::vector<float> visual_;
};

TEST_F(CallbackTest, AStreamCallbackThatBlocksStallsNobody) {
  Door door;
  std::vector<int32_t> ids;
  std::thread blocked([&] {
    Session session = NewSession();
    ids = session
              .Ask(turn_, generate_,
                   [&](std::string_view) {
                     door.Pass();
                     return true;
                   })
              .value()
              .token_ids;
  });
  door.WaitUntilReached();
  UseTheModel();
  const auto engine = Engine::Create(model_).value();
  Collector collector;
  ASSERT_TRUE(engine->Submit(Request(), collector.Callback()).ok());
  EXPECT_EQ(collector.Wait().token_ids, expected_);
  door.Open();
  blocked.join();
  EXPECT_EQ(ids, expected_);
}

TEST_F(CallbackTest, AProgressCallbackThatBlocksStallsNobody) {
  Door door;
  std::vector<float> values;
  std::thread blocked([&] {
    values =
        model_->EncodeVisualTokens(*picture_, encode_, [&](double) { door.Pass(); }).value().values;
  });
  door.WaitUntilReached();
  UseTheModel();
  door.Open();
  blocked.join();
  EXPECT_EQ(values, visual_);
}

TEST_F(CallbackTest, AnEnginesCallbackThatBlocksStallsNoSession) {
  Door door;
  const auto engine = Engine::Create(model_).value();
  Collector collector;
  ASSERT_TRUE(engine
                  ->Submit(Request(),
                           [&, collect = collector.Callback()](const EngineEvent& event) {
                             door.Pass();
                             return collect(event);
                           })
                  .ok());
  door.WaitUntilReached();
  UseTheModel();
  door.Open();
  EXPECT_EQ(collector.Wait().token_ids, expected_);
}

TEST_F(CallbackTest, TheModelCanBeUsedFromInsideOfASessionsCallbacks) {
  Session session = NewSession();
  int pieces = 0, encoded = 0, read = 0;
  const auto stream = [&](std::string_view) {
    if (++pieces == 2) UseTheModel();
    return true;
  };
  const auto progress = [&](AskPhase phase, double) {
    if (++(phase == AskPhase::kEncode ? encoded : read) == 1) UseTheModel();
  };
  EXPECT_EQ(session.Ask(turn_, generate_, stream, progress).value().token_ids, expected_);
  EXPECT_GE(pieces, 2);
  EXPECT_GE(encoded, 2);
  EXPECT_GE(read, 2);
}

TEST_F(CallbackTest, TheModelCanBeUsedFromInsideOfAnEnginesCallback) {
  const auto engine = Engine::Create(model_).value();
  Collector collector;
  int events = 0;
  ASSERT_TRUE(engine
                  ->Submit(Request(),
                           [&, collect = collector.Callback()](const EngineEvent& event) {
                             if (++events == 2) UseTheModel();
                             return collect(event);
                           })
                  .ok());
  EXPECT_EQ(collector.Wait().token_ids, expected_);
  EXPECT_GE(events, 2);
}

TEST_F(CallbackTest, ASessionRefusesToBeAskedByItsOwnCallback) {
  Session session = NewSession(), other = NewSession();
  StatusCode code = StatusCode::kOk;
  const auto stream = [&](std::string_view) {
    code = session.Ask(turn_, generate_).status().code();
    session.Reset();  // has no effect here
    return true;
  };
  EXPECT_EQ(session.Ask(turn_, generate_, stream).value().token_ids, expected_);
  EXPECT_EQ(code, StatusCode::kInvalidArgument);
  ASSERT_TRUE(other.Ask(turn_, generate_).ok());
  EXPECT_EQ(session.context_used(), other.context_used());
}

TEST_F(CallbackTest, WhatASessionsCallbackThrowsLeavesTheSessionAsItWas) {
  Session session = NewSession(), untouched = NewSession();
  for (Session* s : {&session, &untouched}) ASSERT_TRUE(s->Ask(turn_, generate_).ok());
  const int64_t used = session.context_used();
  const StreamFn stream = [](std::string_view) -> bool { throw std::runtime_error("the user's"); };
  EXPECT_THROW((void)session.Ask(turn_, generate_, stream), std::runtime_error);
  for (const AskPhase thrown : {AskPhase::kEncode, AskPhase::kPrefill}) {
    const AskProgressFn progress = [thrown](AskPhase phase, double) {
      if (phase == thrown) throw std::runtime_error("the user's");
    };
    EXPECT_THROW((void)session.Ask(turn_, generate_, {}, progress), std::runtime_error);
  }
  EXPECT_EQ(session.context_used(), used);
  EXPECT_EQ(session.Ask(turn_, generate_).value().token_ids,
            untouched.Ask(turn_, generate_).value().token_ids);
}

TEST_F(CallbackTest, AnEnginesCallbackThatThrowsEndsItsOwnRequestOnly) {
  const auto engine = Engine::Create(model_).value();
  Door door;
  Collector good;
  std::vector<Status> ends;
  std::mutex mutex;
  // The first request holds the engine up until both are there.
  ASSERT_TRUE(engine
                  ->Submit(Request(),
                           [&, collect = good.Callback()](const EngineEvent& event) {
                             door.Pass();
                             return collect(event);
                           })
                  .ok());
  door.WaitUntilReached();
  const auto bad = [&](const EngineEvent& event) -> bool {
    if (!event.status.ok()) {
      const std::lock_guard lock(mutex);
      ends.push_back(event.status);
    }
    throw std::runtime_error("of the user's making");  // at the end as well
  };
  ASSERT_TRUE(engine->Submit(Request(), bad).ok());
  ASSERT_TRUE(engine->Submit(Request(), [](const EngineEvent&) -> bool { throw 7; }).ok());
  ASSERT_TRUE(
      engine->Submit(Request(), [](const EngineEvent&) -> bool { throw std::bad_alloc(); }).ok());
  door.Open();
  EXPECT_EQ(good.Wait().token_ids, expected_);
  engine->Drain(600'000);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].code(), StatusCode::kCancelled);
  EXPECT_THAT(ends[0].message(), HasSubstr("of the user's making"));
  EXPECT_EQ(engine->stats().failed, 3);
  EXPECT_EQ(engine->stats().active, 0);
}

TEST_F(CallbackTest, DrainFromInsideOfACallbackDoesNotWaitForItself) {
  const auto engine = Engine::Create(model_).value();
  Collector collector;
  ASSERT_TRUE(engine
                  ->Submit(Request(),
                           [&, collect = collector.Callback()](const EngineEvent& event) {
                             engine->Drain(600'000);
                             return collect(event);
                           })
                  .ok());
  EXPECT_EQ(collector.Wait().token_ids, expected_);
  EXPECT_EQ(engine->Submit(Request(), {}).status().code(), StatusCode::kCancelled);
}

// An engine that always has something to do asks for the model again as soon as it has let go.
// Steps of the engine are counted between two pieces of a session's answer, each of which takes one
// turn: a step may be under way when the session asks, and steps can be made while the session's
// thread is not running for other reasons, hence the median.
TEST_F(CallbackTest, ASessionGetsItsTurnBesideABusyEngine) {
  const auto engine = Engine::Create(model_).value();
  std::atomic<int> steps{0};
  std::atomic<bool> enough{false};
  EngineRequest endless = Request();
  endless.generate.max_tokens = 500;
  endless.generate.sampling.temperature = 100;  // far from any end
  endless.generate.sampling.top_k = 0;
  EngineCallback go_on = [&](const EngineEvent& event) {
    ++steps;
    if (event.answer != nullptr && !enough) (void)engine->Submit(endless, go_on);
    return !enough;
  };
  ASSERT_TRUE(engine->Submit(endless, go_on).ok());
  while (steps < 3) std::this_thread::yield();

  std::vector<int> between;
  int before = -1;
  GenerateOptions generate = generate_;
  generate.max_tokens = 60;
  generate.sampling.temperature = 1;
  Session session = NewSession();
  const auto count = [&](std::string_view) {
    if (before >= 0) between.push_back(steps - before);
    before = steps;
    return true;
  };
  const Result<Answer> answer = session.Ask(turn_, generate, count);
  enough = true;
  engine->Drain(600'000);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  ASSERT_GE(between.size(), 10u);
  const auto middle = between.begin() + static_cast<ptrdiff_t>(between.size() / 2);
  std::nth_element(between.begin(), middle, between.end());
  EXPECT_LE(*middle, 8);
}

}  // namespace
}  // namespace fastvlm
