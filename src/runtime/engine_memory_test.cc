// A limit of memory: counted before it is spent, and kept.
#include "runtime/engine_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/model_impl.h"
#include "runtime/picture_encoding.h"
#include "runtime/test_allocations.h"
#include "support/engine_fixture.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

VisualTokens NewVisualTokens(size_t bytes) {
  return std::make_shared<const Buffer<float>>(bytes / sizeof(float));
}

TEST(EngineMemoryTest, ClaimsAndCachesAreWithinTheLimitTogether) {
  const DecoderConfig config;
  EngineMemory memory(1000, 800, config, KvType::kF32, 0);
  memory.caches().KeepPicture({1, {1}}, NewVisualTokens(400));
  memory.caches().KeepPicture({1, {2}}, NewVisualTokens(400));
  EXPECT_EQ(memory.bytes(), 800);
  auto small = memory.Take(200);
  ASSERT_TRUE(small.has_value());
  EXPECT_EQ(memory.bytes(), 1000);
  // What was used least recently gives way, and no more than is needed.
  ASSERT_NE(memory.caches().FindPicture({1, {1}}), nullptr);
  auto more = memory.Take(400);
  ASSERT_TRUE(more.has_value());
  EXPECT_EQ(memory.caches().FindPicture({1, {2}}), nullptr);
  EXPECT_NE(memory.caches().FindPicture({1, {1}}), nullptr);
  EXPECT_EQ(memory.bytes(), 1000);
  // More than all claims leave: nothing is dropped for it.
  EXPECT_FALSE(memory.Take(401).has_value());
  EXPECT_NE(memory.caches().FindPicture({1, {1}}), nullptr);
  // What has no room beside the claims is not kept.
  memory.caches().KeepPicture({1, {3}}, NewVisualTokens(404));
  EXPECT_EQ(memory.caches().FindPicture({1, {3}}), nullptr);
  EXPECT_EQ(memory.claimed(), 600);
  *more = {};
  EXPECT_EQ(memory.claimed(), 200);
  more = memory.Take(100);
  small->Join(*std::move(more));
  EXPECT_EQ(small->bytes(), 300);
  more.reset();
  EXPECT_EQ(memory.claimed(), 300);
  small.reset();
  EXPECT_EQ(memory.claimed(), 0);
}

// The bundled model's engine with little memory. Nothing is kept for later unless a test wants it.
class EngineLimitTest : public EngineTest {
 protected:
  static EngineOptions Limit(int64_t beside_workspaces) {
    EngineOptions options;
    options.max_active = 4;
    const int64_t workspace = NewEngine(options)->workspace_bytes();
    options.memory_bytes = workspace + beside_workspaces;
    return options;
  }
  // For what else a few requests take: ids, samplers, visual tokens.
  static constexpr int64_t kSlack = 100 << 10;

  // What a request takes while it is computed, at the least.
  static int64_t KvBytes(const EngineRequest& request) {
    const int64_t tokens = Alone(request).prompt_tokens + request.generate.max_tokens - 1;
    const ModelImpl& impl = ImplOf(*model_);
    return KvCache::Bytes(impl.model.decoder().config(), tokens, KvType::kF32);
  }
};

TEST_F(EngineLimitTest, WorkspacesMustFit) {
  EngineOptions options = Limit(0);
  EXPECT_TRUE(Engine::Create(model_, options).ok());
  --options.memory_bytes;
  const Status status = Engine::Create(model_, options).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("memory_bytes"));
}

TEST_F(EngineLimitTest, WhatCanNeverFitIsRefusedAtOnce) {
  const auto engine = NewEngine(Limit(KvBytes(Ask("", "What is this?", 8))));
  const Status status = engine->Submit(Ask("", "What is this?", 800), {}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("MiB of memory"));
  EXPECT_EQ(engine->stats().requests, 0);
}

TEST_F(EngineLimitTest, RequestsTakeTurnsAtTheMemory) {
  const EngineRequest request = Ask("fox", "Describe the image.", 900);
  // Enough for one of them, and for what the others hold while they wait.
  const int64_t encoder =
      PictureEncoding::Bytes(ImplOf(*model_), ResolveSize(model_->info(), request.encode).value());
  const auto pixels = static_cast<int64_t>(Picture("fox")->pixels.size());
  const EngineOptions options = Limit(encoder + KvBytes(request) + 6 * pixels + kSlack);
  EXPECT_LT(6 * pixels + kSlack, KvBytes(request));
  const auto engine = NewEngine(options);
  int64_t most_active = 0, most_bytes = 0;
  Collector collectors[6];
  for (Collector& collector : collectors) {
    const auto callback = [&, collect = collector.Callback()](const EngineEvent& event) {
      const EngineStats stats = engine->stats();
      most_active = std::max(most_active, stats.active);
      most_bytes = std::max(most_bytes, stats.memory_bytes);
      return collect(event);
    };
    ASSERT_TRUE(engine->Submit(request, callback).ok());
  }
  const std::vector<int32_t> expected = Alone(request).token_ids;
  for (Collector& collector : collectors) EXPECT_EQ(collector.Wait().token_ids, expected);
  EXPECT_EQ(most_active, 1);
  EXPECT_LE(most_bytes, options.memory_bytes);
  EXPECT_GT(most_bytes, engine->workspace_bytes() + KvBytes(request));
  engine->Drain(600'000);
  const EngineStats stats = engine->stats();
  EXPECT_GE(stats.memory_bytes,
            engine->workspace_bytes() + stats.image_cache_bytes + stats.prefix_cache_bytes);
}

TEST_F(EngineLimitTest, CachesGiveWayToRequests) {
  const EngineRequest request = Ask("", "What is this?", 200);
  const EngineOptions options = Limit(KvBytes(request) + kSlack);
  const auto engine = NewEngine(options);
  for (int i = 0; i < 30; ++i) {
    Run(*engine, Ask("", "Question " + std::to_string(i) + " of thirty?", 2));
  }
  const EngineStats full = engine->stats();
  EXPECT_GT(full.prefix_cache_bytes, 0);
  EXPECT_GT(full.memory_bytes + KvBytes(request), options.memory_bytes);
  EXPECT_EQ(Run(*engine, request).token_ids, Alone(request).token_ids);
  EXPECT_EQ(engine->stats().failed, 0);
  EXPECT_LE(engine->stats().memory_bytes, options.memory_bytes);
}

// Those that wait may hold all memory while nobody is at work who would make room by its end.
TEST_F(EngineLimitTest, WaitingPicturesDoNotBlockTheEngine) {
  const EngineRequest request = Ask("fox", "Describe the image.", 40);
  const auto pixels = static_cast<int64_t>(Picture("fox")->pixels.size());
  const int64_t encoder =
      PictureEncoding::Bytes(ImplOf(*model_), ResolveSize(model_->info(), request.encode).value());
  const auto engine = NewEngine(Limit(encoder + KvBytes(request) + pixels + kSlack));
  std::vector<Collector> collectors(60);
  size_t taken = 0;
  Status refused;
  for (Collector& collector : collectors) {
    refused = engine->Submit(request, collector.Callback()).status();
    if (!refused.ok()) break;
    ++taken;
  }
  EXPECT_TRUE(refused.ok() || refused.code() == StatusCode::kResourceExhausted);
  int answered = 0;
  for (size_t i = 0; i < taken; ++i) {
    const Status status = collectors[i].WaitForStatus();
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kResourceExhausted) << status.message();
    answered += status.ok() ? 1 : 0;
  }
  EXPECT_GT(answered, 0);
  EXPECT_EQ(Run(*engine, request).token_ids, Alone(request).token_ids);
}

// One that needs much memory is not passed by for ever.
TEST_F(EngineLimitTest, OthersOvertakeOnlySoOften) {
  const EngineRequest small = Ask("", "What is this?", 12);
  const EngineRequest large = Ask("", "What is this?", 700);
  EXPECT_GT(KvBytes(small), kSlack);  // so that it has no room beside the large one
  EngineOptions options;
  options.max_active = 2;
  const int64_t workspace = NewEngine(options)->workspace_bytes();
  options.memory_bytes = workspace + KvBytes(large) + kSlack;
  options.prefix_cache_bytes = 0;
  const auto engine = NewEngine(options);
  std::vector<std::string> order;
  std::vector<Collector> collectors(9);
  const auto submit = [&](size_t i, const EngineRequest& request, const std::string& name) {
    const auto callback = [&order, name, collect = collectors[i].Callback(),
                           told = false](const EngineEvent& event) mutable {
      if (!std::exchange(told, true)) order.push_back(name);
      return collect(event);
    };
    EXPECT_TRUE(engine->Submit(request, callback).ok());
  };
  // All others come while the first one is at work.
  const auto first = [&, collect = collectors[0].Callback(),
                      told = false](const EngineEvent& event) mutable {
    if (!std::exchange(told, true)) {
      submit(1, large, "large");
      for (size_t i = 2; i < collectors.size(); ++i) submit(i, small, "small");
    }
    return collect(event);
  };
  ASSERT_TRUE(engine->Submit(small, first).ok());
  for (Collector& collector : collectors) collector.Wait();
  ASSERT_EQ(order.size(), 8u);
  EXPECT_EQ(std::find(order.begin(), order.end(), "large") - order.begin(), options.max_active);
}

// The text is as large as it is, but nothing of its size is made of it.
TEST_F(EngineLimitTest, ATextThatIsFarTooLongCostsNoMemory) {
  const auto engine = NewEngine();
  const int64_t context = ImplOf(*model_).checkpoint.config().decoder.max_positions;
  const auto most =
      static_cast<size_t>(ImplOf(*model_).tokenizer.MostBytes(static_cast<size_t>(context)));
  for (const size_t bytes : {size_t{31} << 20, most - 1000}) {
    for (const std::string& part :
         {std::string("a"), std::string("some words "), std::string("\n"), std::string("\u4E2D")}) {
      std::string text;
      text.reserve(bytes + part.size());
      while (text.size() + part.size() < bytes) text += part;
      EngineRequest chat = Ask("", "", 4);
      chat.messages[0].content[0].text = std::move(text);
      const int64_t before = AllocatedBytes();
      const Status status = engine->Submit(std::move(chat), {}).status();
      const int64_t allocated = AllocatedBytes() - before;
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << part;
      EXPECT_THAT(status.message(), HasSubstr("the size of the context"));
      EXPECT_LT(allocated, static_cast<int64_t>(most) * 64 + (1 << 20)) << part << " x " << bytes;
      if (bytes > most) {
        EXPECT_LT(allocated, 1 << 16) << part;
      }
    }
  }
}

}  // namespace
}  // namespace fastvlm
