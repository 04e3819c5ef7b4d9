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

// An installation: PREFIX/bin/fastvlm, and PREFIX/share/fastvlm/models/nano if it has a model.
class Installed : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(prefix_ / "bin");
    std::filesystem::copy(FASTVLM_PROGRAM, program_);
  }

  void AddModel() {
    std::filesystem::create_directories(prefix_ / "share/fastvlm/models");
    std::filesystem::copy(kTinyModel, model_, std::filesystem::copy_options::recursive);
  }

  ProgramResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program_);
    return RunProgram(arguments);
  }

  ScratchDirectory prefix_;
  std::string program_ = prefix_ / "bin/fastvlm";
  std::string model_ = prefix_ / "share/fastvlm/models/nano";
};

TEST_F(Installed, IsUsedWithoutModelFlag) {
  AddModel();
  const std::vector<std::string> describe = {"describe",     "--json", "--resolution", "128",
                                             "--max-tokens", "6",      kImage};
  const ProgramResult bundled = Run(describe);
  ASSERT_EQ(bundled.exit_code, 0) << bundled.err;
  std::vector<std::string> named = describe;
  named.insert(named.begin() + 1, {"--model", kTinyModel});
  EXPECT_EQ(Json::parse(bundled.out)["token_ids"], Json::parse(Run(named).out)["token_ids"]);

  const ProgramResult info = Run({"info", "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  EXPECT_TRUE(std::filesystem::equivalent(Json::parse(info.out)["model"]["directory"], model_));

  const ProgramResult encode =
      Run({"encode", "--resolution", "128", kImage, "--output", prefix_ / "tokens.npy"});
  EXPECT_EQ(encode.exit_code, 0) << encode.err;
  const std::string dataset = prefix_.Write(
      "q.jsonl", Json({{"image", kImage}, {"question", "Who?"}, {"answer", "nobody"}}).dump());
  const ProgramResult eval = Run({"eval", "--resolution", "128", "--max-tokens", "6", dataset});
  EXPECT_EQ(eval.exit_code, 0) << eval.err;
}

TEST_F(Installed, IsFoundThroughALink) {
  AddModel();
  std::filesystem::create_directory(prefix_ / "elsewhere");
  std::filesystem::create_symlink(program_, prefix_ / "elsewhere/fastvlm");
  const ProgramResult info = RunProgram({prefix_ / "elsewhere/fastvlm", "info", "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  EXPECT_TRUE(Json::parse(info.out).contains("model"));
}

TEST_F(Installed, AMissingModelSaysWhereItWasLookedFor) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"describe", kImage},
        {"encode", kImage, "--output", prefix_ / "x.npy"}}) {
    const ProgramResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("share/fastvlm/models/nano"), HasSubstr("--model DIR")));
    EXPECT_EQ(result.out, "");
  }
  const ProgramResult info = Run({"info"});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  EXPECT_THAT(info.out, AllOf(HasSubstr("kernels"), Not(HasSubstr("parameters"))));
}

TEST_F(Installed, ADamagedModelIsAnError) {
  AddModel();
  std::filesystem::remove(model_ + "/model.safetensors");
  const ProgramResult result = Run({"describe", kImage});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("models/nano"));
}

}  // namespace
}  // namespace fastvlm
