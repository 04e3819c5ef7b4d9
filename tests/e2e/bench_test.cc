#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::vector<std::string> kSmall = {
    "bench", "--model",         kModel, "--encoder",     "64,128", "--prefill", "16", "--decode",
    "0,8",   "--decode-tokens", "2",    "--repetitions", "1"};

std::vector<std::string> With(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Bench, JsonHasEveryCaseAtEveryPrecision) {
  const ProgramResult result = Fastvlm(With(kSmall, {"--batch", "1,3", "--no-first-token", "--json",
                                                     "--profile", "--precision", "f32,q8"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  for (const char* name : {"f32_gflops", "int8_gops", "read_gbps"}) {
    EXPECT_GT(json["peak"][name].get<double>(), 0) << name;
  }
  ASSERT_EQ(json["precisions"].size(), 2u);
  EXPECT_EQ(json["precisions"][0]["precision"], "q8");
  EXPECT_EQ(json["precisions"][1]["precision"], "f32");
  EXPECT_LT(json["precisions"][0]["weight_bytes"].get<double>(),
            json["precisions"][1]["weight_bytes"].get<double>());
  for (const Json& precision : json["precisions"]) {
    EXPECT_GT(precision["peak_memory_bytes"].get<double>(), 0);
    ASSERT_EQ(precision["cases"].size(), 7u);
    EXPECT_EQ(precision["cases"][6]["kind"], "batch");
    EXPECT_EQ(precision["cases"][6]["tokens"], 3 * 2);
    EXPECT_GT(precision["cases"][6]["tokens_per_s"].get<double>(), 0);
    for (const Json& result_case : precision["cases"]) {
      EXPECT_GE(result_case["median_ms"].get<double>(), result_case["fastest_ms"].get<double>());
      EXPECT_GT(result_case["gops"].get<double>(), 0);
      EXPECT_GT(result_case["operations"].size(), 3u);
    }
  }
}

TEST(Bench, TableAndFirstToken) {
  const ProgramResult result =
      Fastvlm({"bench", "--model", kModel, "--encoder", "64", "--prefill", "8", "--decode", "0",
               "--batch", "3", "--decode-tokens", "1", "--repetitions", "1", "--profile"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text :
       {"GFLOP/s f32", "encode", "64 x 64 pixels", "prefill", "8 tokens", "decode",
        "after 0 tokens", "3 sequences", "first token", "depthwise", "linear"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
  EXPECT_EQ(result.err, "");
}

TEST(Bench, WrongUsage) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--precision", "f64"},
                                                        {"--encoder", "big"},
                                                        {"--encoder", "100"},
                                                        {"--batch", "257"},
                                                        {"--repetitions", "0"}}) {
    const ProgramResult result = Fastvlm({"bench", "--model", kModel, flag, value});
    EXPECT_EQ(result.exit_code, 2) << flag;
    EXPECT_THAT(result.err, HasSubstr(value));
  }
}

}  // namespace
}  // namespace fastvlm
