// fastvlm-train tokenizer as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/run_program.h"
#include "support/temporary_directory.h"
#include "text/tokenizer.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

class TokenizerProgram : public ::testing::Test {
 protected:
  TokenizerProgram() { directory_.Write("corpus.txt", "a red cat\na red apple\n"); }

  ProgramResult Train(const std::string& corpus, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {FASTVLM_TRAIN_PROGRAM,   "tokenizer", "--corpus",
                                          directory_.Path(corpus), "--output",  output_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgram(arguments);
  }

  TemporaryDirectory directory_;
  std::string output_ = directory_.Path("model");
};

TEST_F(TokenizerProgram, WritesATokenizer) {
  // 260, then " r", " re" and " red"; every other pair at the start of a word occurs once.
  const ProgramResult result = Train("corpus.txt");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("263 tokens"));
  const Result<Tokenizer> tokenizer = Tokenizer::Load(output_);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ(tokenizer->size(), 263);
  EXPECT_EQ(tokenizer->Encode(" red").size(), 1u);
}

TEST_F(TokenizerProgram, VocabularySizeCountsEverything) {
  ASSERT_EQ(Train("corpus.txt", {"--vocab-size", "262", "--min-count", "1"}).exit_code, 0);
  EXPECT_EQ(Tokenizer::Load(output_)->size(), 262);
}

TEST_F(TokenizerProgram, Errors) {
  directory_.Write("empty.txt", "");
  directory_.Write("latin1.txt", "fine\ncaf\xe9\n");
  const struct {
    ProgramResult result;
    int exit_code;
    const char* message;
  } kCases[] = {
      {Train("missing.txt"), 1, "missing.txt"},
      {Train(""), 1, "is a directory"},
      {Train("empty.txt"), 1, "no words"},
      {Train("latin1.txt"), 1, "latin1.txt:2"},
      {Train("corpus.txt", {"--vocab-size", "259"}), 2, "259"},
      {Train("corpus.txt", {"--min-count", "0"}), 2, "min-count"},
      {Train("corpus.txt", {"--merge", "never"}), 2, "never"},
      {RunProgram({FASTVLM_TRAIN_PROGRAM, "tokenizer", "--output", output_}), 2, "--corpus"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(test.result.exit_code, test.exit_code) << test.result.err;
    EXPECT_THAT(test.result.err, HasSubstr(test.message));
  }
  EXPECT_FALSE(std::filesystem::exists(output_)) << "nothing is written after an error";
}

}  // namespace
}  // namespace fastvlm::train
