// The bundled model on its sample pictures, against what transformers answered
// (tests/reference/verify_nano.py --write).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"

namespace fastvlm {
namespace {

using Json = nlohmann::json;

const std::string kSource = FASTVLM_SOURCE_DIR;
const std::string kNanoSamples = kSource + "/models/nano/samples/";

std::vector<Json> ReadLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(Nano, AnswersAsTransformersDoes) {
  const std::vector<Json> expected = ReadLines(kSource + "/tests/golden/nano/answers.jsonl");
  ASSERT_GE(expected.size(), 10u);
  for (const Json& line : expected) {
    const ProgramResult result =
        RunProgram({FASTVLM_PROGRAM, "describe", "--json", "--precision", "f32", "--max-tokens",
                    "64", "--prompt", line["question"].get<std::string>(),
                    kNanoSamples + line["image"].get<std::string>()});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json answer = Json::parse(result.out);
    EXPECT_EQ(answer["text"], line["text"]) << line.dump();
    EXPECT_EQ(answer["token_ids"], line["token_ids"]) << line.dump();
  }
}

// Quantized arithmetic may change an answer here and there, but not many.
TEST(Nano, AnswersAlikeAtEveryPrecision) {
  const auto correct = [](const char* precision) {
    const ProgramResult result =
        RunProgram({FASTVLM_PROGRAM, "eval", "--json", "--precision", precision, kNanoSamples});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out)["correct"].get<int>();
  };
  const int expected = correct("f32");
  EXPECT_GE(correct("bf16"), expected - 1);
  EXPECT_GE(correct("q8"), expected - 1);
  EXPECT_GE(correct("q4"), expected - 3);
}

// The default precision is one of them; the cache of keys and values may be held in fewer bits.
TEST(Nano, AnswersAlikeWithEveryCache) {
  for (const char* cache : {"f32", "f16", "q8"}) {
    for (const char* picture : {"bell", "background"}) {
      const auto answer = [&](const std::vector<std::string>& flags) {
        std::vector<std::string> command = {FASTVLM_PROGRAM, "describe", "--json"};
        command.insert(command.end(), flags.begin(), flags.end());
        command.push_back(kNanoSamples + picture + ".png");
        const ProgramResult result = RunProgram(command);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        return Json::parse(result.out)["text"];
      };
      EXPECT_EQ(answer({"--kv-cache", cache}), answer({"--precision", "f32"})) << cache;
    }
  }
}

TEST(Nano, SamplesAreAnswered) {
  const ProgramResult result = RunProgram({FASTVLM_PROGRAM, "eval", "--json", kNanoSamples});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadLines(kNanoSamples + "questions.jsonl").size(),
            Json::parse(result.out)["questions"].get<size_t>());
}

TEST(Nano, ServesOtherSizesAndShapes) {
  for (const char* resolution : {"256", "512", "192x320"}) {
    const ProgramResult result = RunProgram(
        {FASTVLM_PROGRAM, "describe", "--resolution", resolution, kNanoSamples + "demo.png"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_FALSE(result.out.empty());
  }
}

TEST(Nano, IsSmallEnoughForTheRepository) {
  EXPECT_LT(std::filesystem::file_size(kSource + "/models/nano/model.safetensors"), 25u << 20);
}

}  // namespace
}  // namespace fastvlm
