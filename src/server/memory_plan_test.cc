#include "server/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fastvlm {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(MemoryPlan, SharesFitTogetherIntoTheLimit) {
  for (const int64_t limit : {1024 * kMiB, 2048 * kMiB, 65'536 * kMiB}) {
    const Result<MemoryPlan> plan = PlanMemory(limit, 600 * kMiB);
    ASSERT_TRUE(plan.ok());
    EXPECT_GT(plan->engine_bytes, 0);
    EXPECT_GT(plan->request_bytes, 0);
    EXPECT_GT(plan->decode_bytes, 0);
    EXPECT_LE(plan->engine_bytes + plan->request_bytes + 2 * plan->decode_bytes + 600 * kMiB,
              limit - 90 * kMiB);  // the program has a share as well
  }
}

TEST(MemoryPlan, TooLittleIsNamedWithWhatIsNeeded) {
  const Result<MemoryPlan> plan = PlanMemory(700 * kMiB, 600 * kMiB);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(plan.status().message(), ::testing::HasSubstr("889M or more"));
  EXPECT_TRUE(PlanMemory(889 * kMiB, 600 * kMiB).ok());
}

TEST(MemoryPlan, SizesAreReadWithTheirUnits) {
  EXPECT_EQ(ParseMemory("2G"), int64_t{2} << 30);
  EXPECT_EQ(ParseMemory("1.5g"), int64_t{3} << 29);
  EXPECT_EQ(ParseMemory("512M"), 512 * kMiB);
  EXPECT_EQ(ParseMemory("1T"), int64_t{1} << 40);
  for (const char* wrong :
       {"", "G", "2", "2GB", "-1G", "0M", "nanG", "infG", "1e9T", "2 G", " 2G"}) {
    EXPECT_EQ(ParseMemory(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace fastvlm
