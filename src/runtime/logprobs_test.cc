#include "runtime/logprobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(LogSumExpTest, IsTheLogOfTheSum) {
  const std::vector<float> logits = {1, 2, 3, -kInfinity};
  EXPECT_NEAR(LogSumExp(logits), std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)), 1e-6);
  const std::vector<float> large = {1000, 1000};
  EXPECT_NEAR(LogSumExp(large), 1000 + std::log(2.0), 1e-6);
  const std::vector<float> none = {-kInfinity, std::nanf("")};
  EXPECT_EQ(LogSumExp(none), -kInfinity);
}

TEST(HighestLogitsTest, AreSortedWithTheLowerTokenFirst) {
  const std::vector<float> logits = {1, 5, std::nanf(""), 5, -kInfinity, 2, 0, kInfinity};
  EXPECT_THAT(HighestLogits(logits, 3), ElementsAre(Pair(1, 5), Pair(3, 5), Pair(5, 2)));
  EXPECT_THAT(HighestLogits(logits, 20),
              ElementsAre(Pair(1, 5), Pair(3, 5), Pair(5, 2), Pair(0, 1), Pair(6, 0)));
  EXPECT_TRUE(HighestLogits(logits, 0).empty());
}

}  // namespace
}  // namespace fastvlm
