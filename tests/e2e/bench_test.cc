#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::vector<std::string> kSmall = {
    "bench",    "--model", kTinyModel,        "--encoder", "64,128",        "--prefill", "16",
    "--decode", "0,8",     "--decode-tokens", "2",         "--repetitions", "1"};

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
      Fastvlm({"bench", "--model", kTinyModel, "--encoder", "64", "--prefill", "8", "--decode", "0",
               "--batch", "3", "--decode-tokens", "1", "--repetitions", "1", "--profile"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text :
       {"GFLOP/s f32", "encode", "64 x 64 pixels", "prefill", "8 tokens", "decode",
        "after 0 tokens", "3 sequences", "first token", "depthwise", "linear"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
  EXPECT_EQ(result.err, "");
}

TEST(Bench, WorkerAnswersEachLineAndWritesWhatCameOut) {
  const ScratchDirectory scratch;
  const std::string encoded = scratch / "encoded.npy", visual = scratch / "visual.npy";
  const std::string decoded = scratch / "decoded.npy", again = scratch / "again.npy";
  const ProgramResult result =
      Fastvlm({"bench", "--worker", "--model", kTinyModel, "--precision", "f32"},
              "encode 64 " + encoded + "\nprefill 20 " + visual + "\nprefill 20\ndecode 3 20 " +
                  decoded + "\nencode 128\ndecode 3 20 " + again + "\nfirst-token 64\nquit\nx\n");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, "ready");
  int answers = 0;
  while (std::getline(lines, line)) {
    EXPECT_GT(std::stod(line), 0) << line;
    ++answers;
  }
  EXPECT_EQ(answers, 7);
  EXPECT_THAT(ReadAll(encoded), HasSubstr("(1, "));
  EXPECT_THAT(ReadAll(visual), HasSubstr("(1, "));
  EXPECT_THAT(ReadAll(decoded), HasSubstr("(1, 3)"));
  EXPECT_EQ(ReadAll(decoded), ReadAll(again));
}

TEST(Bench, WorkerRefusesWhatItCannotDo) {
  for (const char* line : {"sing 3", "encode", "encode 100", "encode 0", "prefill 0", "prefill x",
                           "decode 3", "decode 0 3", "decode 1 2000000000", "encode 64 a b"}) {
    const ProgramResult result =
        Fastvlm({"bench", "--worker", "--model", kTinyModel}, std::string(line) + "\n");
    EXPECT_EQ(result.exit_code, 2) << line;
    EXPECT_EQ(result.out, "ready\n") << line;
    EXPECT_THAT(result.err, HasSubstr("error: ")) << line;
  }
  EXPECT_EQ(
      Fastvlm({"bench", "--worker", "--model", kTinyModel, "--precision", "f32,q8"}).exit_code, 2);
}

TEST(Bench, WrongUsage) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--precision", "f64"},
                                                        {"--encoder", "big"},
                                                        {"--encoder", "100"},
                                                        {"--batch", "257"},
                                                        {"--repetitions", "0"}}) {
    const ProgramResult result = Fastvlm({"bench", "--model", kTinyModel, flag, value});
    EXPECT_EQ(result.exit_code, 2) << flag;
    EXPECT_THAT(result.err, HasSubstr(value));
  }
}

}  // namespace
}  // namespace fastvlm
