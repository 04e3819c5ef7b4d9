#include "runtime/token_chooser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace fastvlm {
namespace {

using ::testing::ElementsAre;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Lets every token through but one, and writes down what it is given.
class AllBut : public TokenConstraint {
 public:
  AllBut(size_t token, std::vector<int32_t>* accepted) : token_(token), accepted_(accepted) {}
  void Mask(std::span<float> logits) override { logits[token_] = kLowest; }
  void Accept(int32_t token) override { accepted_->push_back(token); }

 private:
  size_t token_;
  std::vector<int32_t>* accepted_;
};

TEST(TokenChooser, NeverChoosesABannedToken) {
  const std::vector<int32_t> banned = {1, 3};
  TokenChooser chooser(SamplingOptions{}, 4, banned);
  std::vector<float> logits = {1, 9, 2, 8};
  EXPECT_EQ(chooser.Choose(logits), 2);
  logits = {kLowest, 9, kLowest, 8};
  EXPECT_EQ(chooser.Choose(logits), -1);
}

TEST(TokenChooser, TheModelsLogitsAreThoseBeforeGrammarAndOptions) {
  const std::vector<int32_t> banned = {0};
  std::vector<int32_t> accepted;
  SamplingOptions options;
  options.repetition_penalty = 4;
  TokenChooser chooser(options, 4, banned, std::make_unique<AllBut>(1, &accepted));
  chooser.Accept(3);
  std::vector<float> logits = {9, 8, 2, 4}, model_logits;
  EXPECT_EQ(chooser.Choose(logits, &model_logits), 2);  // 4 becomes 1
  EXPECT_THAT(model_logits, ElementsAre(kLowest, 8, 2, 4));
  EXPECT_THAT(accepted, ElementsAre(3));
}

}  // namespace
}  // namespace fastvlm
