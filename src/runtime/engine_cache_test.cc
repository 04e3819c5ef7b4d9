// What the engine remembers: pictures and prefixes.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "support/engine_fixture.h"

namespace fastvlm {
namespace {

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

// Neither a count nor the work of the encoder tells one owner what another sent.
TEST_F(EngineTest, OwnersAreStrangersToEachOther) {
  const auto engine = NewEngine();
  EngineRequest request = Ask("fox", "My door code is 84216.", 4);
  request.owner = 1;
  const Answer mine = Run(*engine, request);
  request.owner = 2;
  const Answer theirs = Run(*engine, request);
  EXPECT_EQ(theirs.token_ids, mine.token_ids);
  EXPECT_EQ(theirs.cached_tokens, 0);
  EXPECT_EQ(engine->stats().images_encoded, 2);
  EXPECT_EQ(engine->stats().prefix_cache_hits, 0);
  for (const uint64_t owner : {1, 2}) {
    request.owner = owner;
    EXPECT_EQ(Run(*engine, request).cached_tokens, mine.prompt_tokens - 1) << owner;
  }
  EXPECT_EQ(engine->stats().images_encoded, 2);
}

// ... also while both are at work, and where only the picture would be shared.
TEST_F(EngineTest, OwnersAreStrangersSideBySide) {
  EngineOptions options;
  options.prefix_cache_bytes = 0;
  for (const bool prefixes : {true, false}) {
    const auto engine = prefixes ? NewEngine() : NewEngine(options);
    EngineRequest request = Ask("fox", "Describe the image.", 6);
    Collector a, b, c;
    request.owner = 1;
    ASSERT_TRUE(engine->Submit(request, a.Callback()).ok());
    request.owner = 2;
    ASSERT_TRUE(engine->Submit(request, b.Callback()).ok());
    request.messages[0].content.back().text = "What is this?";
    ASSERT_TRUE(engine->Submit(request, c.Callback()).ok());
    EXPECT_EQ(a.Wait().token_ids, b.Wait().token_ids);
    EXPECT_EQ(b.Wait().cached_tokens, 0);
    EXPECT_EQ(c.Wait().cached_tokens > 0, prefixes);
    EXPECT_EQ(engine->stats().images_encoded, 2);
    EXPECT_EQ(engine->stats().image_cache_hits, prefixes ? 0 : 1);
  }
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

}  // namespace
}  // namespace fastvlm
