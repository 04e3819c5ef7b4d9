#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

std::vector<std::string> Describe(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"describe", "--model",      kTinyModel, "--resolution",
                                        "256",      "--max-tokens", "8"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json DescribeJson(std::vector<std::string> more, const std::vector<std::string>& environment = {}) {
  more.push_back("--json");
  const ProgramResult result = Fastvlm(Describe(more), "", environment);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out, nullptr, false);
}

TEST(Describe, AnswerIsAllOfStandardOutput) {
  const ProgramResult result = Fastvlm(Describe({kImage}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, DescribeJson({kImage})["text"].get<std::string>() + "\n");
  EXPECT_THAT(result.err, AllOf(HasSubstr("encode"), HasSubstr("16 tokens"), HasSubstr("peak")));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("\033"))) << "colours belong on terminals";
}

TEST(Describe, JsonHasEveryField) {
  const Json json = DescribeJson({kImage});
  EXPECT_TRUE(json["text"].is_string());
  EXPECT_EQ(json["images"], Json::array({kImage}));
  EXPECT_EQ(json["token_ids"].size(), 8u);
  EXPECT_EQ(json["image_tokens"], 16);
  EXPECT_GT(json["prompt_tokens"].get<int>(), 16);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_GT(json["peak_memory_bytes"].get<int64_t>(), 1 << 20);
  const Json& timings = json["timings"];
  for (const char* name : {"load_ms", "image_ms", "encode_ms", "prefill_ms", "ttft_ms", "decode_ms",
                           "decode_tokens_per_s"}) {
    EXPECT_GT(timings[name].get<double>(), 0) << name;
  }
  EXPECT_GE(timings["ttft_ms"].get<double>(),
            timings["encode_ms"].get<double>() + timings["prefill_ms"].get<double>());
}

TEST(Describe, SeveralImagesEachGetAnAnswer) {
  const ProgramResult text = Fastvlm(Describe({kImage, kOtherImage}));
  EXPECT_EQ(text.exit_code, 0);
  const std::string first = DescribeJson({kImage})["text"];
  const std::string second = DescribeJson({kOtherImage})["text"];
  EXPECT_EQ(text.out, "==> " + kImage + " <==\n" + first + "\n\n==> " + kOtherImage + " <==\n" +
                          second + "\n");

  const ProgramResult json = Fastvlm(Describe({"--json", kImage, kOtherImage}));
  EXPECT_EQ(std::count(json.out.begin(), json.out.end(), '\n'), 2);
  EXPECT_EQ(Json::parse(json.out.substr(json.out.find('\n') + 1))["text"], second);
}

TEST(Describe, OneBadImageDoesNotStopTheOthers) {
  const ProgramResult result = Fastvlm(Describe({"--json", "/no/such.png", kImage}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/no/such.png"));
  EXPECT_EQ(Json::parse(result.out)["images"][0], kImage);
}

TEST(Describe, ImagesTogether) {
  const Json json = DescribeJson({"--together", kImage, kOtherImage});
  EXPECT_EQ(json["image_tokens"], 32);
  EXPECT_EQ(json["images"].size(), 2u);
}

TEST(Describe, NoImageAnswersThePrompt) {
  const Json json = DescribeJson({"--prompt", "Hello there"});
  EXPECT_EQ(json["image_tokens"], 0);
  EXPECT_EQ(json["token_ids"].size(), 8u);
}

TEST(Describe, StandardInput) {
  const ProgramResult result = Fastvlm(Describe({"--json", "-"}), ReadAll(kImage));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["text"], DescribeJson({kImage})["text"]);
}

TEST(Describe, ThreadsDoNotChangeTheAnswer) {
  const Json expected = DescribeJson({kImage, "--threads", "1", "--max-tokens", "24"})["token_ids"];
  for (const char* threads : {"2", "3", "7"}) {
    EXPECT_EQ(DescribeJson({kImage, "--threads", threads, "--max-tokens", "24"})["token_ids"],
              expected)
        << threads;
  }
}

TEST(Describe, InstructionSetsAgree) {
  const Json expected = DescribeJson({kImage, "--precision", "f32"}, {"FASTVLM_ISA=scalar"});
  for (const char* isa : {"avx2", "avx512"}) {
    if (Fastvlm({"info"}, "", {std::string("FASTVLM_ISA=") + isa}).exit_code != 0)
      continue;  // not on this CPU
    EXPECT_EQ(DescribeJson({kImage, "--precision", "f32"},
                           {std::string("FASTVLM_ISA=") + isa})["token_ids"],
              expected["token_ids"])
        << isa;
  }
}

TEST(Describe, SeedsDecideSampledAnswers) {
  const std::vector<std::string> sampled = {kImage, "--temperature", "1.5", "--seed"};
  const auto with_seed = [&](const char* seed) {
    std::vector<std::string> arguments = sampled;
    arguments.push_back(seed);
    return DescribeJson(arguments)["token_ids"];
  };
  EXPECT_EQ(with_seed("3"), with_seed("3"));
  EXPECT_NE(with_seed("3"), with_seed("4"));
}

TEST(Describe, PromptBeyondTheContext) {
  std::string prompt;
  for (int i = 0; i < 9000; ++i) prompt += " 7";
  const ProgramResult result = Fastvlm(Describe({"--prompt", prompt, kImage}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("context"), HasSubstr("8192")));
}

TEST(Describe, PlaceholdersMustMatchTheImages) {
  const ProgramResult result = Fastvlm(Describe({"--prompt", "<image> and <image>", kImage}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("<image>"));
}

TEST(Describe, BadImages) {
  const ScratchDirectory scratch;
  const std::string png = ReadAll(kImage);
  const struct {
    std::string path;
    const char* message;
  } kCases[] = {
      {"/no/such/file.jpg", "No such file"},
      {kGoldenData, "directory"},
      {scratch.Write("empty.png", ""), "empty"},
      {scratch.Write("short.png", png.substr(0, png.size() / 2)), "truncated"},
      {scratch.Write("text.jpg", "this is no picture"), "PNG"},  // the message lists the formats
  };
  for (const auto& test : kCases) {
    const ProgramResult result = Fastvlm(Describe({test.path}));
    EXPECT_EQ(result.exit_code, 1) << test.path;
    EXPECT_THAT(result.err, AllOf(HasSubstr(test.path), HasSubstr(test.message)));
    EXPECT_EQ(result.out, "");
  }
}

TEST(Describe, BadModels) {
  const ScratchDirectory scratch;
  const auto describe = [](const std::string& model) {
    return Fastvlm({"describe", "--model", model, kImage});
  };
  EXPECT_EQ(describe("/no/such/model").exit_code, 1);
  EXPECT_THAT(describe("/no/such/model").err, HasSubstr("/no/such/model"));
  EXPECT_EQ(describe(kImage).exit_code, 2) << "a file is no model directory";
  // A copy with a piece missing or cut names the piece.
  const auto copy_model = [&](const std::string& name) {
    std::filesystem::copy(kTinyModel, scratch / name, std::filesystem::copy_options::recursive);
    return scratch / name;
  };
  const std::string no_vocabulary = copy_model("no_vocabulary");
  std::filesystem::remove(no_vocabulary + "/vocab.json");
  EXPECT_THAT(describe(no_vocabulary).err, HasSubstr("vocab.json"));
  const std::string cut = copy_model("cut");
  std::filesystem::resize_file(cut + "/model.safetensors",
                               std::filesystem::file_size(cut + "/model.safetensors") - 100);
  EXPECT_THAT(describe(cut).err, AllOf(HasSubstr("model.safetensors"), HasSubstr("truncated")));
  const std::string broken = copy_model("broken");
  scratch.Write("broken/config.json", "{\"hidden_size\": ");
  EXPECT_THAT(describe(broken).err, HasSubstr("config.json"));
  for (const std::string& model : {no_vocabulary, cut, broken})
    EXPECT_EQ(describe(model).exit_code, 1);
}

TEST(Describe, FullStandardOutputIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const ProgramResult result =
      RunProgram({"/bin/sh", "-c",
                  std::string(FASTVLM_PROGRAM) + " describe --model " + kTinyModel +
                      " --resolution 64 --max-tokens 4 " + kImage + " > /dev/full"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output"));
}

}  // namespace
}  // namespace fastvlm
