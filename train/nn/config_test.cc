#include "train/nn/config.h"

#include <gtest/gtest.h>

namespace fastvlm::train {
namespace {

TEST(ParseStages, ReadsChannelsBlocksRatioAndAttention) {
  const auto stages = ParseStages("16:1:2,48:2:3,192:3:4:a");
  ASSERT_TRUE(stages.ok()) << stages.status().message();
  ASSERT_EQ(stages->size(), 3u);
  EXPECT_EQ(stages->at(0).channels, 16);
  EXPECT_EQ(stages->at(2).ffn_ratio, 4);
  EXPECT_EQ(stages->at(1).blocks, 2);
  EXPECT_FALSE(stages->at(1).attention);
  EXPECT_TRUE(stages->at(2).attention);
}

TEST(ParseStages, RefusesWhatNoNetworkCanBe) {
  for (const char* text :
       {"", "16", "16:1", "16:1:2:b", "16:1:2:a:a", "0:1:2", "16:-1:2", "x:1:2", "16:1:2,40:1:2",
        "16:1:2:a", "99999:1:1", "1:1:1,1:1:1,1:1:1,1:1:1,1:1:1,1:1:1"}) {
    const auto stages = ParseStages(text);
    EXPECT_FALSE(stages.ok()) << text;
    EXPECT_EQ(stages.status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(NetworkConfig, StrideFollowsFromTheStages) {
  NetworkConfig config;
  config.stages = *ParseStages("16:1:2,48:1:3,192:3:3,384:2:3:a");
  EXPECT_EQ(config.stride(), 32);
  EXPECT_EQ(config.features(), 768);
}

}  // namespace
}  // namespace fastvlm::train
