// Counts what is allocated while an answer is produced, by operator new and Buffer alike.
#include <gtest/gtest.h>

#include <cstdint>
#include <future>
#include <string>
#include <vector>

#include "fastvlm/engine.h"
#include "fastvlm/session.h"
#include "runtime/test_allocations.h"

namespace fastvlm {
namespace {

TEST(Allocation, NonePerDecodedToken) {
  const std::string directory = std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/data/apple_tied";
  for (Precision precision : {Precision::kF32, Precision::kQ8, Precision::kQ4}) {
    ModelOptions options;
    options.precision = precision;
    options.threads = 2;
    const auto model = Model::Load(directory, options).value();
    Session session = Session::Create(model).value();
    UserTurn turn;
    turn.text = "Hello there";
    GenerateOptions generate;
    generate.max_tokens = 200;
    generate.sampling.temperature = 1;
    generate.sampling.repetition_penalty = 1.1f;
    std::vector<int64_t> counts;
    counts.reserve(1000);
    const int64_t before = AllocationCount();
    const Answer answer = session
                              .Ask(turn, generate,
                                   [&](std::string_view) {
                                     counts.push_back(AllocationCount());
                                     return true;
                                   })
                              .value();
    EXPECT_GT(AllocationCount(), before);  // that is, they are counted
    ASSERT_GE(counts.size(), 10u) << answer.text;
    EXPECT_EQ(counts.back(), counts.front()) << "at precision " << static_cast<int>(precision);
  }
}

TEST(Allocation, NonePerTokenOfAnEngine) {
  ModelOptions one_thread;
  one_thread.threads = 1;
  const auto model =
      Model::Load(std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/data/apple_tied", one_thread)
          .value();
  const auto engine = Engine::Create(model).value();
  EngineRequest request;
  request.prompt = "Hello there";
  request.generate.max_tokens = 200;
  request.generate.sampling.temperature = 1;
  request.stop = {"never said"};
  std::vector<int64_t> counts[2];
  for (std::vector<int64_t>& list : counts) list.reserve(1000);
  std::promise<void> second_submitted;
  const auto count_second = [&](const EngineEvent& event) {
    if (event.answer == nullptr) counts[1].push_back(AllocationCount());
    return true;
  };
  const auto count_first = [&](const EngineEvent& event) {
    // So that both are at work from the first one's second token on.
    if (counts[0].empty()) {
      EXPECT_TRUE(engine->Submit(request, count_second).ok());
      second_submitted.set_value();
    }
    if (event.answer == nullptr) counts[0].push_back(AllocationCount());
    return true;
  };
  ASSERT_TRUE(engine->Submit(request, count_first).ok());
  second_submitted.get_future().wait();
  engine->Drain(600'000);
  for (const std::vector<int64_t>& list : counts) ASSERT_GE(list.size(), 100u);
  EXPECT_EQ(counts[0][90], counts[0][10]);
}

}  // namespace
}  // namespace fastvlm
