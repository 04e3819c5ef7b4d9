#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Usage, HelpGoesToStandardOutputWithExamples) {
  const ProgramResult help = Fastvlm({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("describe"), HasSubstr("encode"), HasSubstr("eval"),
                              HasSubstr("info"), HasSubstr("models"), HasSubstr("pull"),
                              HasSubstr("verify"), HasSubstr("Examples:")));
  EXPECT_EQ(help.err, "");
  for (const char* command : {"describe", "encode", "eval", "info"}) {
    const ProgramResult result = Fastvlm({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_THAT(result.out, HasSubstr("Examples:")) << command;
  }
}

TEST(Usage, Version) {
  const ProgramResult result = Fastvlm({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              ::testing::MatchesRegex("fastvlm [0-9]+\\.[0-9]+\\.[0-9]+ \\(commit ([0-9a-f]{7,}( "
                                      "with changes)?|unknown: .*)\\)\n"));
}

// Wrong usage exits with 2, says what is wrong on standard error and writes no result.
TEST(Usage, WrongFlags) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } kCases[] = {
      {{}, "Examples:"},
      {{"paint"}, "'paint' is no command"},
      {{"describe", "--no-such-flag", kImage}, "--no-such-flag"},
      {{"describe", "--model", kModel, "--max-tokens", "many", kImage}, "many"},
      {{"describe", "--model", kModel, "--max-tokens", "0", kImage}, "--max-tokens is 0"},
      {{"describe", "--model", kModel, "--temperature", "-1", kImage}, "temperature is -1"},
      {{"describe", "--model", kModel, "--top-p", "0", "--temperature", "1", kImage},
       "--top-p is 0"},
      {{"describe", "--model", kModel, "--threads", "-2", kImage}, "-2"},
      {{"describe", "--model", kModel, "--precision", "f64", kImage}, "f64"},
      {{"describe", "--model", kModel, "--kv-cache", "q3", kImage}, "q3"},
      {{"describe", "--model", kModel, "--resolution", "big", kImage}, "'big' is not a resolution"},
      {{"describe", "--model", kModel, "--resolution", "100", kImage},
       "multiples of 64; try 128x128"},
      {{"describe", "--model", kModel, "--resolution", "64x", kImage}, "'64x' is not a resolution"},
      {{"describe", "--model", kModel, "--fit", "squash", kImage}, "squash"},
      {{"encode", "--model", kModel, kImage}, "--output"},
      {{"info", "--threads", "1000"}, "1000"},
  };
  for (const auto& test : kCases) {
    const ProgramResult result = Fastvlm(test.arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(test.message));
    EXPECT_EQ(result.out, "");
  }
}

TEST(Usage, UnknownInstructionSetIsAnError) {
  const ProgramResult result =
      Fastvlm({"describe", "--model", kModel, kImage}, "", {"FASTVLM_ISA=mmx"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(HasSubstr("FASTVLM_ISA=mmx"), HasSubstr("avx2")));
}

}  // namespace
}  // namespace fastvlm
