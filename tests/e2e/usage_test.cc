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
      {{"describe", "--model", kTinyModel, "--max-tokens", "many", kImage}, "many"},
      {{"describe", "--model", kTinyModel, "--max-tokens", "0", kImage}, "--max-tokens is 0"},
      {{"describe", "--model", kTinyModel, "--temperature", "-1", kImage}, "--temperature is -1"},
      {{"describe", "--model", kTinyModel, "--top-p", "0", "--temperature", "1", kImage},
       "--top-p is 0, expected a number above 0, at most 1"},
      {{"describe", "--model", kTinyModel, "--repetition-penalty", "nan", kImage},
       "--repetition-penalty is nan"},
      {{"describe", "--model", kTinyModel, "--threads", "-2", kImage}, "-2"},
      {{"describe", "--model", kTinyModel, "--precision", "f64", kImage}, "f64"},
      {{"describe", "--model", kTinyModel, "--kv-cache", "q3", kImage}, "q3"},
      {{"describe", "--model", kTinyModel, "--resolution", "big", kImage},
       "'big' is not a resolution"},
      {{"describe", "--model", kTinyModel, "--resolution", "100", kImage},
       "multiples of 64; try 128x128"},
      {{"describe", "--model", kTinyModel, "--resolution", "64x", kImage},
       "'64x' is not a resolution"},
      {{"describe", "--model", kTinyModel, "--fit", "squash", kImage}, "squash"},
      {{"describe", "--model", kTinyModel, "--background", "paper", kImage},
       "'paper' is not a colour; expected white, black or #rrggbb"},
      {{"encode", "--model", kTinyModel, kImage}, "--output"},
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
      Fastvlm({"describe", "--model", kTinyModel, kImage}, "", {"FASTVLM_ISA=mmx"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(HasSubstr("FASTVLM_ISA=mmx"), HasSubstr("avx2")));
}

}  // namespace
}  // namespace fastvlm
