// Allocations that fail, one after the other: an error or an answer comes of each, never an end of
// the program, and what was there before can be used afterwards.
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "fastvlm/engine.h"
#include "fastvlm/session.h"
#include "runtime/test_allocations.h"
#include "support/paths.h"

namespace fastvlm {
namespace {

// Which allocations fail, so that a sweep over `total` of them tries about 250, the first ones all.
class Sweep {
 public:
  explicit Sweep(int64_t total) : total_(total) {}
  // 0 at the end.
  int64_t Next() {
    n_ += n_ < 50 ? 1 : 1 + total_ / 200;
    return n_ <= total_ ? n_ : 0;
  }

 private:
  int64_t total_;
  int64_t n_ = 0;
};

template <typename Body>
int64_t AllocationsOf(const Body& body) {
  const int64_t before = AllocationCount();
  body();
  return AllocationCount() - before;
}

Result<std::shared_ptr<const Model>> LoadTiny(Precision precision = Precision::kQ8) {
  ModelOptions options;
  options.precision = precision;
  options.threads = 2;
  return Model::Load(kTinyModel, options);
}

struct Turn {
  UserTurn turn;
  GenerateOptions generate;

  Turn() {
    turn.text = "What is this?";
    turn.images.push_back(Image::FromFile(kGoldenData + "images/wide.png").value());
    turn.encode.width = turn.encode.height = 128;
    generate.max_tokens = 5;
  }
};

void ExpectNoMemory(const Status& status, int64_t n) {
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted)
      << "allocation " << n << ": " << status.message();
}

// Of what is large, every allocation. Small ones belong to the JSON library too, whose destructors
// allocate: they would end the program.
TEST(Memory, LoadingFailsInOrder) {
  ModelOptions options;
  options.threads = 2;
  const int64_t before = BufferAllocationCount();
  ASSERT_TRUE(Model::Load(kTinyModel, options).ok());
  const int64_t total = BufferAllocationCount() - before;
  EXPECT_GT(total, 20);
  for (int64_t n = 1; n <= total; ++n) {
    const FailingAllocation failing(n, Allocations::kBuffers);
    ExpectNoMemory(Model::Load(kTinyModel, options).status(), n);
  }
  EXPECT_TRUE(Model::Load(kTinyModel, options).ok());
}

TEST(Memory, ASessionIsAsBeforeAnAnswerThatFailed) {
  const auto model = LoadTiny().value();
  const Turn turn;
  const auto started = [&] {
    Session session = Session::Create(model).value();
    EXPECT_TRUE(session.Ask(turn.turn, turn.generate).ok());
    return session;
  };
  const std::vector<int32_t> expected = started().Ask(turn.turn, turn.generate).value().token_ids;
  Session session = started();
  const int64_t used = session.context_used();
  Sweep sweep(AllocationsOf([&] { (void)started().Ask(turn.turn, turn.generate); }));
  const auto ask_with_failure = [&](int64_t n) {
    const FailingAllocation failing(n);
    return session.Ask(turn.turn, turn.generate);
  };
  int64_t failures = 0;
  while (const int64_t n = sweep.Next()) {
    Result<Answer> answer = ask_with_failure(n);
    if (answer.ok()) {
      EXPECT_EQ(answer->token_ids, expected) << "allocation " << n;
    } else {
      ++failures;
      ExpectNoMemory(answer.status(), n);
      EXPECT_EQ(session.context_used(), used);
      answer = session.Ask(turn.turn, turn.generate);
      ASSERT_TRUE(answer.ok());
      EXPECT_EQ(answer->token_ids, expected) << "after allocation " << n;
    }
    session = started();
  }
  EXPECT_GT(failures, 20);
}

TEST(Memory, CreatingFailsInOrder) {
  const auto model = LoadTiny().value();
  const auto create_session = [&] { return Session::Create(model).status(); };
  const auto create_engine = [&] { return Engine::Create(model).status(); };
  for (const std::function<Status()>& create :
       {std::function<Status()>(create_session), std::function<Status()>(create_engine)}) {
    const int64_t total = AllocationsOf([&] { ASSERT_TRUE(create().ok()); });
    EXPECT_GT(total, 5);
    for (int64_t n = 1; n <= total; ++n) {
      const FailingAllocation failing(n);
      const Status status = create();
      if (!status.ok()) ExpectNoMemory(status, n);
    }
    EXPECT_TRUE(create().ok());
  }
}

// What a request came to. Allocates nothing where the engine calls it.
class Outcome {
 public:
  Outcome() { ids_.reserve(100); }
  bool Take(const EngineEvent& event) {
    const std::lock_guard lock(mutex_);
    if (event.answer == nullptr && event.status.ok()) return true;
    code_ = event.status.code();
    if (event.answer != nullptr) ids_ = event.answer->token_ids;
    ended_ = true;
    news_.notify_all();
    return true;
  }
  StatusCode Wait() {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return ended_; });
    return code_;
  }
  const std::vector<int32_t>& ids() const { return ids_; }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  bool ended_ = false;
  StatusCode code_ = StatusCode::kOk;
  std::vector<int32_t> ids_;
};

// One allocation fails, or nothing can be allocated any more until the request has ended.
void ExpectTheEngineToGoOn(Failing failing) {
  const auto model = LoadTiny().value();
  const Turn turn;
  EngineOptions options;
  options.image_cache_bytes = 0;  // the same work each time
  options.prefix_cache_bytes = 64 << 10;
  const auto engine = Engine::Create(model, options).value();
  EngineRequest request;
  request.messages = {
      {Role::kUser,
       {{"", std::make_shared<const Image>(turn.turn.images[0])}, {turn.turn.text, nullptr}}}};
  request.encode = turn.turn.encode;
  request.generate = turn.generate;
  request.top_logprobs = 3;
  request.stop = {"never said"};

  const auto run = [&](int64_t failing_allocation, std::vector<int32_t>* ids) {
    Outcome outcome;
    EngineRequest copy = request;
    EngineCallback callback = [&](const EngineEvent& event) { return outcome.Take(event); };
    StatusCode code = StatusCode::kOk;
    {
      const FailingAllocation fails(failing_allocation, Allocations::kAll, failing);
      const Result<int64_t> id = engine->Submit(std::move(copy), std::move(callback));
      code = id.ok() ? outcome.Wait() : id.status().code();
    }
    *ids = outcome.ids();
    return code;
  };
  constexpr int64_t kNever = int64_t{1} << 60;
  std::vector<int32_t> expected, ids;
  ASSERT_EQ(run(kNever, &expected), StatusCode::kOk);
  ASSERT_FALSE(expected.empty());
  Sweep sweep(AllocationsOf([&] { run(kNever, &ids); }));
  int64_t failures = 0;
  while (const int64_t n = sweep.Next()) {
    const StatusCode code = run(n, &ids);
    if (code == StatusCode::kOk) {
      EXPECT_EQ(ids, expected) << "allocation " << n;
      continue;
    }
    ++failures;
    EXPECT_EQ(code, StatusCode::kResourceExhausted) << "allocation " << n;
  }
  EXPECT_GT(failures, 20);
  ASSERT_EQ(run(kNever, &ids), StatusCode::kOk);
  EXPECT_EQ(ids, expected);
  engine->Drain(600'000);
  EXPECT_EQ(engine->stats().active, 0);
  EXPECT_EQ(engine->stats().queued, 0);
}

TEST(Memory, AnEngineGoesOnAfterARequestThatFailed) { ExpectTheEngineToGoOn(Failing::kOne); }

TEST(Memory, AnEngineGoesOnAfterATimeWithoutAnyMemory) {
  ExpectTheEngineToGoOn(Failing::kAllFromThere);
}

TEST(Memory, TheMessageSaysHowMuchForWhatAndWhatToDo) {
  const auto model = LoadTiny().value();
  Session session = Session::Create(model).value();
  const Turn turn;
  RefuseAllocationsForTesting([](size_t bytes) { return bytes >= 4096; });
  const Status create = Session::Create(model).status();
  const Status ask = session.Ask(turn.turn, turn.generate).status();
  const Status load = LoadTiny().status();
  RefuseAllocationsForTesting(nullptr);
  const auto says = [](const Status& status, const char* text) {
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("out of memory: "), std::string::npos) << status.message();
  };
  says(create, "context_tokens");
  says(ask, "image encoder; lower the resolution");
  says(load, "the weights; load it at a precision of fewer bits");
}

}  // namespace
}  // namespace fastvlm
