// Many requests at once: their order, their bounds, and their end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/clock.h"
#include "support/engine_fixture.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const char* const kQuestions[] = {"Describe the image.", "How many objects are there?",
                                  "What does the text say?", "What color is the background?"};

// Different requests, each with the answer it has alone.
struct Crowd {
  std::vector<EngineRequest> requests;
  std::vector<Answer> expected;
  std::vector<Collector> collectors;

  Crowd(int size, const std::function<Answer(const EngineRequest&)>& alone);
  void SubmitFromThreads(Engine& engine);
  void SubmitOneByOne(Engine& engine);
  void ExpectAnswersAsAlone();

 private:
  void SubmitNext(Engine& engine);

  size_t next_ = 0;  // of SubmitOneByOne
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

void Crowd::SubmitFromThreads(Engine& engine) {
  constexpr size_t kThreads = 4;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < requests.size(); i += kThreads) {
        ASSERT_TRUE(engine.Submit(requests[i], collectors[i].Callback()).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Each comes when the one before it has told so many tokens, or its end: the same schedule in every
// run, with requests at all stages side by side.
void Crowd::SubmitOneByOne(Engine& engine) { SubmitNext(engine); }

void Crowd::SubmitNext(Engine& engine) {
  if (next_ == requests.size()) return;
  const size_t i = next_++;
  const auto callback = [&engine, this, collect = collectors[i].Callback(),
                         left = 1 + static_cast<int>(i * 7 % 5)](const EngineEvent& event) mutable {
    const bool ended = event.answer != nullptr || !event.status.ok();
    if (left > 0 && (--left == 0 || ended)) {
      left = 0;
      SubmitNext(engine);
    }
    return collect(event);
  };
  ASSERT_TRUE(engine.Submit(requests[i], callback).ok());
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
  crowd.SubmitFromThreads(*engine);
  crowd.ExpectAnswersAsAlone();
  EXPECT_EQ(engine->stats().requests, 32);
  EXPECT_GT(engine->stats().cached_prompt_tokens, 0);
}

TEST_F(EngineTest, SoTheyAreWhenTheyComeOneAfterTheOther) {
  Crowd crowd(32, [](const EngineRequest& request) { return Alone(request); });
  EngineOptions options;
  options.max_active = 6;
  const auto engine = NewEngine(options);
  crowd.SubmitOneByOne(*engine);
  crowd.ExpectAnswersAsAlone();
  EXPECT_EQ(engine->stats().requests, 32);
}

TEST_F(EngineTest, SoTheyAreInFewerBits) {
  for (const Precision precision : {Precision::kQ8, Precision::kQ4, Precision::kBf16}) {
    const auto model = LoadNano(precision);
    Crowd crowd(12, [&](const EngineRequest& request) { return Alone(request, model); });
    const auto engine = Engine::Create(model).value();
    crowd.SubmitOneByOne(*engine);
    crowd.ExpectAnswersAsAlone();
  }
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

// A clock that stands still but for Advance.
class ManualClock {
 public:
  ManualClock() {
    SetClockForTest([] { return TimePoint(std::chrono::milliseconds(milliseconds_)); });
  }
  ~ManualClock() { SetClockForTest(nullptr); }

  void Advance(int milliseconds) { milliseconds_ += milliseconds; }

 private:
  static inline std::atomic<int> milliseconds_ = 0;
};

TEST_F(EngineTest, TimeRunsOutInTheQueueAndWhileDecoding) {
  ManualClock clock;
  EngineOptions options;
  options.max_active = 1;
  const auto engine = NewEngine(options);
  Gate gate;
  Collector running, queued;
  EngineRequest request = Ask("", "What is this?", 8);
  request.timeout_ms = 20;
  ASSERT_TRUE(engine->Submit(request, gate.Around(running.Callback())).ok());
  ASSERT_TRUE(engine->Submit(request, queued.Callback()).ok());
  gate.WaitUntilReached();  // by the first token: no time has passed
  clock.Advance(20);
  gate.Open();
  EXPECT_EQ(running.WaitForStatus().code(), StatusCode::kTimedOut);
  EXPECT_THAT(running.WaitForStatus().message(),
              AllOf(HasSubstr("timed out"), HasSubstr("with 1 tokens of its answer")));
  EXPECT_EQ(queued.WaitForStatus().code(), StatusCode::kTimedOut);
  EXPECT_THAT(queued.WaitForStatus().message(),
              AllOf(HasSubstr("timed out"), HasSubstr("with 0 tokens of its answer")));
  EXPECT_EQ(engine->stats().timed_out, 2);
}

TEST_F(EngineTest, BeforeItsTimeNothingRunsOut) {
  ManualClock clock;
  const auto engine = NewEngine();
  Gate gate;
  Collector collector;
  EngineRequest request = Ask("", "What is this?", 8);
  request.timeout_ms = 20;
  ASSERT_TRUE(engine->Submit(request, gate.Around(collector.Callback())).ok());
  gate.WaitUntilReached();
  clock.Advance(19);
  gate.Open();
  EXPECT_TRUE(collector.WaitForStatus().ok());
  EXPECT_EQ(engine->stats().timed_out, 0);
}

// One request decodes while the picture of another is encoded, and has it cancelled between two
// blocks of the encoder.
TEST_F(EngineTest, OthersDecodeWhileAPictureIsEncodedAndItCanBeCancelled) {
  const auto engine = NewEngine();
  Collector writer, viewer;
  EngineCallback collect = writer.Callback();
  int events = 0;
  Result<int64_t> id = int64_t{0};  // of the viewer
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

// Keeps the engine in a callback until it takes no more requests, which is when Drain without a
// time, or the engine's end, has asked for everything to be cancelled.
EngineCallback AroundUntilDrained(Engine* engine, EngineCallback inner) {
  return [engine, inner = std::move(inner)](const EngineEvent& event) {
    if (event.answer != nullptr || !event.status.ok()) return inner(event);
    const bool wanted = inner(event);
    EngineRequest probe;
    probe.generate.max_tokens = 0;  // so that it is refused in any case
    while (engine->Submit(probe, {}).status().code() != StatusCode::kCancelled) {
      std::this_thread::yield();
    }
    return wanted;
  };
}

TEST_F(EngineTest, DrainCancelsAfterTheTimeAndSoDoesTheEnd) {
  const EngineRequest request = Ask("fox", "Describe the image.");
  Collector drained, left;
  {
    const auto engine = NewEngine();
    ASSERT_TRUE(engine->Submit(request, AroundUntilDrained(engine.get(), drained.Callback())).ok());
    drained.WaitForEvents(1);
    engine->Drain(0);
    EXPECT_EQ(engine->stats().cancelled, 1);
    const auto other = NewEngine();
    ASSERT_TRUE(other->Submit(request, AroundUntilDrained(other.get(), left.Callback())).ok());
    left.WaitForEvents(1);
  }
  for (Collector* collector : {&drained, &left}) {
    EXPECT_EQ(collector->Wait().finish_reason, FinishReason::kCancelled);
    EXPECT_EQ(collector->Wait().token_ids.size(), 1u);
  }
}

}  // namespace
}  // namespace fastvlm
