#include "eval/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A golden.json that came with a model is a stranger's.
TEST(Golden, AModelsOwnNamesPicturesBesideItOnly) {
  TemporaryDirectory outside;
  outside.Write("secret.png", "x");
  TemporaryDirectory directory;
  std::filesystem::create_directory(directory.Path("pictures"));
  directory.Write("pictures/a.png", "x");
  std::filesystem::create_symlink(outside.path(), directory.Path("link"));
  std::filesystem::create_symlink(outside.Path("secret.png"), directory.Path("link.png"));
  std::filesystem::create_symlink("pictures/a.png", directory.Path("inside.png"));
  const auto read = [&](const std::string& image, GoldenImages images) {
    directory.Write("g.json", R"({"checks": [{"prompt": "p", "prompt_tokens": 9, "image": ")" +
                                  image + "\"}]}");
    return ReadGolden(directory.Path("g.json"), images);
  };
  for (const char* image : {"pictures/a.png", "./pictures/a.png", "inside.png", "none.png"}) {
    EXPECT_TRUE(read(image, GoldenImages::kBesideTheFile).ok()) << image;
  }
  for (const std::string& image :
       {outside.Path("secret.png"), std::string("../secret.png"), std::string("pictures/../../x"),
        std::string("link/secret.png"), std::string("link.png"), std::string("link/new.png"),
        std::string("http://host/b.png"), std::string("https://host/b.png"),
        std::string("/dev/zero"), std::string("a\\u0000b")}) {
    const auto refused = read(image, GoldenImages::kBesideTheFile);
    ASSERT_FALSE(refused.ok()) << image;
    EXPECT_EQ(refused.status().code(), StatusCode::kDataError) << image;
    EXPECT_THAT(refused.status().message(), HasSubstr("checks[0].image")) << image;
    EXPECT_TRUE(read(image, GoldenImages::kAnywhere).ok()) << image;
  }
}

TEST(Golden, Reads) {
  TemporaryDirectory directory;
  directory.Write("g.json", R"({"model": "m", "source": "s", "checks": [
      {"image": "a.png", "fit": "crop", "width": 128, "height": 64, "prompt": "p",
       "prompt_tokens": 9, "logits": {"0": 1.5, "10": -2}, "tolerance": 0.25},
      {"image": "http://host/b.png", "prompt": "q", "max_tokens": 3, "contains": ["x"],
       "token_ids": [7, 8]}]})");
  const auto read = ReadGolden(directory.Path("g.json"), GoldenImages::kAnywhere);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->model, "m");
  EXPECT_EQ(read->source, "s");
  ASSERT_EQ(read->checks.size(), 2u);
  const GoldenCheck& first = read->checks[0];
  EXPECT_EQ(first.image, directory.Path("a.png"));
  EXPECT_EQ(first.encode.fit, Fit::kCrop);
  EXPECT_EQ(first.encode.width, 128);
  EXPECT_EQ(first.encode.height, 64);
  EXPECT_EQ(first.prompt_tokens, 9);
  EXPECT_THAT(first.logit_ids, ElementsAre(0, 10));
  EXPECT_THAT(first.logits, ElementsAre(1.5f, -2.0f));
  EXPECT_EQ(first.tolerance, 0.25);
  EXPECT_EQ(first.max_tokens, 0);
  const GoldenCheck& second = read->checks[1];
  EXPECT_EQ(second.image, "http://host/b.png");
  EXPECT_EQ(second.encode.fit, Fit::kPad);
  EXPECT_EQ(second.max_tokens, 3);
  EXPECT_THAT(second.contains, ElementsAre("x"));
  EXPECT_THAT(second.token_ids, ElementsAre(7, 8));
}

TEST(Golden, WrongFiles) {
  TemporaryDirectory directory;
  EXPECT_EQ(ReadGolden(directory.Path("none.json"), GoldenImages::kAnywhere).status().code(),
            StatusCode::kNotFound);
  const struct {
    const char* check;
    const char* field;
  } kCases[] = {
      {R"(3)", "checks[0]"},
      {R"({})", "prompt"},
      {R"({"prompt": "p"})", "checks nothing"},
      {R"({"prompt": "p", "logits": [1], "tolerance": 1})", "logits"},
      {R"({"prompt": "p", "logits": {"x": 1}, "tolerance": 1})", "logits"},
      {R"({"prompt": "p", "logits": {"-1": 1}, "tolerance": 1})", "logits"},
      {R"({"prompt": "p", "logits": {"1": "1"}, "tolerance": 1})", "logits"},
      {R"({"prompt": "p", "logits": {"1": 1}})", "tolerance"},
      {R"({"prompt": "p", "logits": {"1": 1}, "tolerance": -1})", "tolerance"},
      {R"({"prompt": "p", "contains": ["x"]})", "max_tokens"},
      {R"({"prompt": "p", "max_tokens": 3})", "max_tokens"},
      {R"({"prompt": "p", "max_tokens": 3, "contains": "x"})", "contains"},
      {R"({"prompt": "p", "max_tokens": 3, "token_ids": [1.5]})", "token_ids"},
      {R"({"prompt": "p", "prompt_tokens": 3, "fit": "squash"})", "fit"},
      {R"({"prompt": "p", "prompt_tokens": 3, "width": -64})", "width"},
  };
  for (const auto& test : kCases) {
    directory.Write("g.json", std::string(R"({"checks": [)") + test.check + "]}");
    const auto read = ReadGolden(directory.Path("g.json"), GoldenImages::kAnywhere);
    ASSERT_FALSE(read.ok()) << test.check;
    EXPECT_EQ(read.status().code(), StatusCode::kDataError) << test.check;
    EXPECT_THAT(read.status().message(), HasSubstr(test.field)) << test.check;
  }
  directory.Write("g.json", R"({"checks": []})");
  EXPECT_THAT(ReadGolden(directory.Path("g.json"), GoldenImages::kAnywhere).status().message(),
              HasSubstr("checks"));
}

TEST(Golden, PublishedForApplesSizesOnly) {
  ModelInfo info;
  info.image_size = 1024;
  info.hidden = 896;
  info.layers = 24;
  const auto golden = PublishedGolden(info);
  ASSERT_TRUE(golden.has_value());
  EXPECT_EQ(golden->model, "FastVLM-0.5B");
  ASSERT_EQ(golden->checks.size(), 2u);
  EXPECT_THAT(golden->checks[0].logits, ElementsAre(4.125f, 9.6875f, 11.1875f));
  EXPECT_EQ(golden->checks[0].prompt_tokens, 280);
  info.hidden = 3584;
  info.layers = 28;
  EXPECT_EQ(PublishedGolden(info)->checks.size(), 1u);
  info.layers = 24;
  EXPECT_FALSE(PublishedGolden(info).has_value());
  info.layers = 28;
  info.image_size = 512;
  EXPECT_FALSE(PublishedGolden(info).has_value());
}

}  // namespace
}  // namespace fastvlm
