#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace fastvlm {
namespace {

Result<std::string> NoSuchFile() {
  return Error(StatusCode::kNotFound, "{}: no such file", "a.txt");
}

TEST(Result, HoldsAValueOrAnError) {
  Result<std::string> good = std::string("text");
  EXPECT_TRUE(good.ok());
  EXPECT_TRUE(good.status().ok());
  EXPECT_EQ(good.value(), "text");
  EXPECT_EQ(*good, "text");
  EXPECT_EQ(good->size(), 4u);
  const Result<std::string> bad = NoSuchFile();
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(bad.status().message(), "a.txt: no such file");
}

TEST(Result, GivesAwayWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, TheValueOfAnErrorAbortsWithItsMessage) {
  Result<std::string> bad = NoSuchFile();
  const Result<std::string>& constant = bad;
  EXPECT_DEATH((void)bad.value(), "a.txt: no such file");
  EXPECT_DEATH((void)constant.value(), "a.txt: no such file");
  EXPECT_DEATH((void)NoSuchFile().value(), "a.txt: no such file");
  EXPECT_DEATH((void)*bad, "a.txt: no such file");
  EXPECT_DEATH((void)*constant, "a.txt: no such file");
  EXPECT_DEATH((void)*NoSuchFile(), "a.txt: no such file");
  EXPECT_DEATH((void)bad->size(), "a.txt: no such file");
  EXPECT_DEATH((void)constant->size(), "a.txt: no such file");
}

TEST(ResultDeathTest, AnOkStatusIsNoResult) {
  EXPECT_DEATH((void)Result<int>(Status()), "expected a value or an error");
}

}  // namespace
}  // namespace fastvlm
