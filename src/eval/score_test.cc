#include "eval/score.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

TEST(Score, NormalizedAnswers) {
  EXPECT_EQ(NormalizeAnswer("  A Red Apple. \n"), "a red apple");
  EXPECT_EQ(NormalizeAnswer("Yes ."), "yes");
  EXPECT_EQ(NormalizeAnswer("Wait..."), "wait..");
  EXPECT_EQ(NormalizeAnswer("It says \"A.B.\""), "it says \"a.b.\"");
  EXPECT_EQ(NormalizeAnswer("CAF\u00c9"), "caf\u00c9");  // ASCII only
  EXPECT_EQ(NormalizeAnswer(" . "), "");
  EXPECT_EQ(NormalizeAnswer(""), "");
}

TEST(Score, ExactMatch) {
  EXPECT_TRUE(IsExactMatch("A cat.", "a cat"));
  EXPECT_TRUE(IsExactMatch("3", " 3. "));
  EXPECT_FALSE(IsExactMatch("A cat", "A  cat"));
  EXPECT_FALSE(IsExactMatch("A cat!", "A cat"));
  EXPECT_FALSE(IsExactMatch("", "A cat"));
}

// Values of method 3 in table I of R. G. Newcombe, Two-sided confidence intervals for the single
// proportion, Statistics in Medicine 17 (1998).
TEST(Score, WilsonIntervalHasThePublishedValues) {
  const struct {
    int64_t hits, count;
    double low, high;
  } kCases[] = {{81, 263, 0.2553, 0.3662},
                {15, 148, 0.0624, 0.1605},
                {0, 20, 0.0000, 0.1611},
                {1, 29, 0.0061, 0.1718}};
  for (const auto& test : kCases) {
    const Interval interval = WilsonInterval(test.hits, test.count);
    EXPECT_NEAR(interval.low, test.low, 5e-5) << test.hits;
    EXPECT_NEAR(interval.high, test.high, 5e-5) << test.hits;
    const Interval mirrored = WilsonInterval(test.count - test.hits, test.count);
    EXPECT_NEAR(mirrored.low, 1 - interval.high, 1e-12);
  }
  EXPECT_EQ(WilsonInterval(0, 0).low, 0);
  EXPECT_EQ(WilsonInterval(0, 0).high, 1);
  EXPECT_EQ(WilsonInterval(7, 7).high, 1);
}

}  // namespace
}  // namespace fastvlm
