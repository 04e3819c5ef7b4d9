#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

TEST(Info, ShowsTheModelAndTheMachine) {
  const ProgramResult result = Fastvlm({"info", kTinyModel});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* text : {"apple, BF16", "parameters", "1024 x 1024 pixels, 16 x 16 = 256 tokens",
                           "14 heads", "8192 tokens", "CPU", "threads", "gemm"}) {
    EXPECT_THAT(result.out, HasSubstr(text));
  }
}

TEST(Info, Json) {
  const ProgramResult result = Fastvlm({"info", "--json", kTinyModel});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["model"]["layout"], "apple");
  EXPECT_EQ(json["model"]["stage_blocks"].size(), 5u);
  EXPECT_GT(json["system"]["kernels"].size(), 0u);
}

TEST(Info, WithoutAModelShowsTheMachine) {
  const ProgramResult result = Fastvlm({"info"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("kernels"));
}

TEST(Info, TheCapOnInstructionsIsShown) {
  const ProgramResult result = Fastvlm({"info", "--json"}, "", {"FASTVLM_ISA=scalar"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["system"]["isa"], "scalar");
  for (const Json& variant : json["system"]["kernels"])
    EXPECT_THAT(variant.get<std::string>(), HasSubstr("scalar"));
  EXPECT_EQ(Fastvlm({"info"}, "", {"FASTVLM_ISA=altivec"}).exit_code, 2);
}

TEST(Info, MissingModel) {
  const ProgramResult result = Fastvlm({"info", "/no/such/model"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/no/such/model"));
}

}  // namespace
}  // namespace fastvlm
