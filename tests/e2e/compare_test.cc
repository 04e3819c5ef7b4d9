#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/paths.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::string kSample = kNano + "/samples/";

std::vector<std::string> Samples() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kSample)) {
    if (entry.path().extension() == ".png") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  files.resize(std::min<size_t>(files.size(), 2));
  return files;
}

Json CompareAsJson(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"compare", "--json"});
  for (const std::string& file : Samples()) arguments.push_back(file);
  const ProgramResult result = Fastvlm(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.exit_code == 0 ? Json::parse(result.out) : Json();
}

TEST(Compare, AModelEqualsItself) {
  const Json json = CompareAsJson({"--candidate", "f32"});
  ASSERT_FALSE(json.is_null());
  std::vector<std::string> stages;
  for (const Json& stage : json["stages"]) {
    stages.push_back(stage["after"]);
    EXPECT_EQ(stage["relative_rms"], 0.0);
    EXPECT_EQ(stage["relative_max"], 0.0);
  }
  EXPECT_THAT(stages, ::testing::ElementsAre("stem", "stage.0", "stage.1", "stage.2", "stage.3",
                                             "features", "visual tokens"));
  EXPECT_NEAR(json["cosine_mean"], 1, 1e-12);
  EXPECT_NEAR(json["cosine_worst"], 1, 1e-12);
  EXPECT_EQ(json["top1_agreement"], 1.0);
  EXPECT_EQ(json["reference_perplexity"], json["candidate_perplexity"]);
  EXPECT_GE(json["reference_perplexity"], 1.0);
  EXPECT_EQ(json["pictures"].size(), 2u);
}

// The answer the reference gives is the one that describe prints.
TEST(Compare, TheAnswerIsThatOfDescribe) {
  const Json json = CompareAsJson({"--candidate", "bf16", "--prompt", "Describe the image."});
  ASSERT_FALSE(json.is_null());
  for (const Json& picture : json["pictures"]) {
    const ProgramResult described =
        Fastvlm({"describe", "--json", "--precision", "f32", "--prompt", "Describe the image.",
                 "--max-tokens", "64", picture["file"].get<std::string>()});
    ASSERT_EQ(described.exit_code, 0) << described.err;
    const Json answer = Json::parse(described.out);
    EXPECT_EQ(picture["answer"], answer["text"]);
    EXPECT_EQ(picture["answer_tokens"], answer["token_ids"].size());
  }
}

// Fewer bits lose more, and q8 loses little.
TEST(Compare, LossGrowsAsBitsGetFewer) {
  const Json q8 = CompareAsJson({"--candidate", "q8"});
  const Json q4 = CompareAsJson({"--candidate", "q4"});
  ASSERT_FALSE(q8.is_null() || q4.is_null());
  for (const Json& stage : q8["stages"]) {
    EXPECT_GT(stage["relative_rms"], 0.0) << stage;
    EXPECT_LT(stage["relative_rms"], 0.2) << stage;
  }
  EXPECT_GT(q8["cosine_mean"], 0.99);
  EXPECT_LE(q8["cosine_worst"], q8["cosine_mean"]);
  // The encoder has 8 bits at q4 too.
  EXPECT_EQ(q4["cosine_mean"], q8["cosine_mean"]);
  EXPECT_GE(q8["top1_agreement"], q4["top1_agreement"]);
  const auto distance = [](const Json& json) {
    return std::abs(std::log(json["candidate_perplexity"].get<double>() /
                             json["reference_perplexity"].get<double>()));
  };
  EXPECT_LT(distance(q8), distance(q4));
}

TEST(Compare, TextShowsTheSameThings) {
  const ProgramResult result =
      Fastvlm({"compare", "--candidate", "q8", "--max-tokens", "4", Samples().front()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text : {"reference  f32", "candidate  q8", "stage.0", "visual tokens",
                           "visual-token cosine", "worst", "top-1 agreement", "perplexity"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
}

TEST(Compare, Mistakes) {
  const std::string picture = Samples().front();
  EXPECT_EQ(Fastvlm({"compare"}).exit_code, 2);
  EXPECT_EQ(Fastvlm({"compare", "--candidate", "q9", picture}).exit_code, 2);
  EXPECT_EQ(Fastvlm({"compare", "--max-tokens", "0", picture}).exit_code, 2);
  EXPECT_EQ(Fastvlm({"compare", "/no/such/picture.png"}).exit_code, 1);
  const ProgramResult prompt = Fastvlm({"compare", "--prompt", "<image> and", picture});
  EXPECT_EQ(prompt.exit_code, 2);
  EXPECT_THAT(prompt.err, HasSubstr("<image>"));
  const ProgramResult other = Fastvlm({"compare", "--candidate-model", kTinyModel, picture});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("not the same model"));
}

}  // namespace
}  // namespace fastvlm
