#include "server/key_limits.h"

#include <gtest/gtest.h>

namespace fastvlm {
namespace {

using std::chrono::seconds;

TEST(KeyLimits, RequestsAtOnceAreCountedForEachKey) {
  KeyLimits limits({2, 0}, 2);
  EXPECT_EQ(limits.Begin(1), 0);
  EXPECT_EQ(limits.Begin(1), 0);
  EXPECT_GT(limits.Begin(1), 0);
  EXPECT_EQ(limits.Begin(2), 0);
  limits.End(1, 1000);
  EXPECT_EQ(limits.Begin(1), 0);
  EXPECT_GT(limits.Begin(1), 0);
}

TEST(KeyLimits, TokensComeBackWithinAMinute) {
  const KeyLimits::Clock::time_point start{};
  KeyLimits limits({0, 600}, 2, start);
  ASSERT_EQ(limits.Begin(1, start), 0);
  limits.End(1, 500, start);
  ASSERT_EQ(limits.Begin(1, start), 0);   // 100 are left
  limits.End(1, 400, start);              // 300 too many
  EXPECT_EQ(limits.Begin(1, start), 31);  // 10 come each second
  EXPECT_EQ(limits.Begin(2, start), 0);
  EXPECT_EQ(limits.Begin(1, start + seconds(30)), 1);
  EXPECT_EQ(limits.Begin(1, start + seconds(31)), 0);
  // Nobody saves up more than one minute's tokens.
  limits.End(1, 600, start + seconds(10'000));
  EXPECT_GT(limits.Begin(1, start + seconds(10'000)), 0);
}

TEST(KeyLimits, WithoutAKeyThereIsNone) {
  KeyLimits limits({1, 1}, 0);
  EXPECT_EQ(limits.Begin(0), 0);
  EXPECT_EQ(limits.Begin(0), 0);
  limits.End(0, 1000);
  EXPECT_EQ(limits.Begin(0), 0);
}

TEST(KeyShare, GivesBackWhatItTook) {
  KeyLimits limits({1, 0}, 1);
  {
    const KeyShare first(limits, 1);
    EXPECT_EQ(first.wait_s(), 0);
    const KeyShare second(limits, 1);
    EXPECT_GT(second.wait_s(), 0);
  }
  EXPECT_EQ(KeyShare(limits, 1).wait_s(), 0);
}

}  // namespace
}  // namespace fastvlm
