// No request keeps the others from theirs: whose prompt is computed when.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "support/engine_fixture.h"

namespace fastvlm {
namespace {

// One request writes a token in each step of the engine, which makes it the clock of a test: what
// it does at a certain token happens at the same step in every run.
class Writer {
 public:
  explicit Writer(Engine& engine) : engine_(engine) {}

  // Runs on the engine's thread when the token with this number, from 1 on, is told.
  void At(int token, std::function<void()> action) { actions_.emplace_back(token, action); }

  void Start(uint64_t owner) {
    EngineRequest request = Ask("", "Tell me a long story.", 200);
    request.owner = owner;
    request.generate.sampling.temperature = 3;  // far from any end
    request.generate.sampling.top_k = 0;
    const auto callback = [this, collect = collector_.Callback()](const EngineEvent& event) {
      if (event.answer == nullptr) ++tokens_;
      for (auto& [token, action] : actions_) {
        if (token == tokens_ && action) std::exchange(action, nullptr)();
      }
      return collect(event);
    };
    ASSERT_TRUE(engine_.Submit(request, callback).ok());
  }
  void Wait() { collector_.Wait(); }
  int tokens() const { return tokens_; }

 private:
  Engine& engine_;
  Collector collector_;
  std::vector<std::pair<int, std::function<void()>>> actions_;
  int tokens_ = 0;
};

EngineRequest OfOwner(uint64_t owner, EngineRequest request) {
  request.owner = owner;
  return request;
}

// Runs `request`, and `at_first` on the engine's thread when its first token is told.
void Submit(Engine& engine, const EngineRequest& request, Collector* collector,
            std::function<void()> at_first) {
  const auto callback = [at_first = std::move(at_first), collect = collector->Callback(),
                         told = false](const EngineEvent& event) mutable {
    if (!std::exchange(told, true)) at_first();
    return collect(event);
  };
  EXPECT_TRUE(engine.Submit(request, callback).ok());
}

EngineRequest ManyPictures() {
  EngineRequest request = Ask("", "Which of these is the fox?", 4);
  for (const char* picture : kPictures) {
    request.messages[0].content.insert(request.messages[0].content.begin(),
                                       ContentPart{"", Picture(picture)});
  }
  return request;
}

// Whether it is of another owner or of the same one, a newcomer with a text gets its first token in
// a few steps, while the first of many pictures is encoded.
TEST_F(EngineTest, ANewcomerDoesNotWaitForThePicturesOfOthers) {
  for (const uint64_t newcomer : {1, 2}) {
    const auto engine = NewEngine();
    Writer writer(*engine);
    Collector viewer, reader;
    int submitted_at = 0, first_at = 0;
    int64_t encoded = -1;
    writer.At(1, [&] {
      EXPECT_TRUE(engine->Submit(OfOwner(1, ManyPictures()), viewer.Callback()).ok());
    });
    writer.At(3, [&] {
      submitted_at = writer.tokens();
      Submit(*engine, OfOwner(newcomer, Ask("", "What is this?", 4)), &reader, [&] {
        first_at = writer.tokens();
        encoded = engine->stats().images_encoded;
      });
    });
    writer.Start(3);
    viewer.Wait();
    reader.Wait();
    engine->Drain(0);
    EXPECT_EQ(encoded, 0) << "owner " << newcomer;
    EXPECT_GT(submitted_at, 0);
    // One step of the encoder at most comes before its prompt, which fits into one pass.
    EXPECT_LE(first_at - submitted_at, 3) << "owner " << newcomer;
    EXPECT_EQ(engine->stats().images_encoded, 6);
    EXPECT_EQ(reader.Wait().token_ids, Alone(Ask("", "What is this?", 4)).token_ids);
  }
}

// Of two owners with pictures, the one with a single request does not wait for all of the other's.
TEST_F(EngineTest, OwnersTakeTurnsAtTheEncoder) {
  const auto engine = NewEngine();
  Writer writer(*engine);
  std::vector<std::string> order;  // of the first tokens
  Collector collectors[4];
  writer.At(1, [&] {
    const char* const pictures[] = {"fox", "count", "bell", "demo"};
    for (size_t i = 0; i < 4; ++i) {
      const std::string name = i < 3 ? "many" : "single";
      Submit(*engine, OfOwner(i < 3 ? 1 : 2, Ask(pictures[i], "What is this?", 4)), &collectors[i],
             [&order, name] { order.push_back(name); });
    }
  });
  writer.Start(3);
  for (Collector& collector : collectors) collector.Wait();
  engine->Drain(0);
  ASSERT_EQ(order.size(), 4u);
  EXPECT_LE(std::find(order.begin(), order.end(), "single") - order.begin(), 1);
}

// A long text is read in turns with a short one that comes later.
TEST_F(EngineTest, AShortPromptOvertakesALongOne) {
  const auto engine = NewEngine();
  Writer writer(*engine);
  std::vector<std::string> order;
  Collector slow, quick;
  std::string text;
  for (int i = 0; i < 60; ++i) text += " word" + std::to_string(i);
  writer.At(1, [&] {
    Submit(*engine, OfOwner(1, Ask("", text, 4)), &slow, [&] { order.push_back("long"); });
    Submit(*engine, OfOwner(2, Ask("", "What is this?", 4)), &quick,
           [&] { order.push_back("short"); });
  });
  writer.Start(3);
  slow.Wait();
  quick.Wait();
  engine->Drain(0);
  EXPECT_EQ(order, (std::vector<std::string>{"short", "long"}));
}

// The encoder's work for a request that goes away is given up, and others take its place.
TEST_F(EngineTest, AnEncodingUnderWayEndsWithItsRequest) {
  const auto engine = NewEngine();
  Writer writer(*engine);
  Collector gone, stays;
  Result<int64_t> id = int64_t{0};
  const EngineRequest request = Ask("group", "What is this?", 4);
  writer.At(1, [&] {
    id = engine->Submit(OfOwner(1, request), gone.Callback());
    EXPECT_TRUE(engine->Submit(OfOwner(2, request), stays.Callback()).ok());
  });
  writer.At(4, [&] { engine->Cancel(id.value()); });
  writer.Start(3);
  EXPECT_EQ(stays.Wait().token_ids, Alone(request).token_ids);
  EXPECT_EQ(gone.Wait().finish_reason, FinishReason::kCancelled);
  engine->Drain(0);
  EXPECT_EQ(engine->stats().images_encoded, 1);
}

}  // namespace
}  // namespace fastvlm
