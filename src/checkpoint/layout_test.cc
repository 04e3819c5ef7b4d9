#include "checkpoint/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TensorFiles FilesWith(const std::vector<std::string>& names) {
  TensorFiles files;
  files.path = "a.file";
  for (const std::string& name : names) {
    StoredTensor& stored = files.tensors[name];
    stored.tensor.name = name;
    stored.tensor.file = "a.file";
  }
  return files;
}

Status StatusOf(const std::vector<std::string>& names) {
  return FindLayout(FilesWith(names)).status();
}

TEST(RewriteTest, CarriesNumbersAndKindsOver) {
  EXPECT_EQ(Rewrite("a.12.b.0.weight", "a.#.b.#.@", "x.#.y.#.z.@"), "x.12.y.0.z.weight");
  EXPECT_EQ(Rewrite("x.12.y.0.z.bias", "x.#.y.#.z.@", "a.#.b.#.@"), "a.12.b.0.bias");
  EXPECT_EQ(Rewrite("a", "a", ""), "");
  EXPECT_EQ(Rewrite("a.3.weight", "a.#.@", ""), "");
  EXPECT_EQ(Rewrite("a.3", "a.#", "#b"), "3b");
}

TEST(RewriteTest, RefusesWhatDoesNotMatchWholly) {
  EXPECT_EQ(Rewrite("a.weight.c", "a.@", "@"), std::nullopt);
  EXPECT_EQ(Rewrite("a.weights", "a.@", "@"), std::nullopt);
  EXPECT_EQ(Rewrite("a.", "a.@", "@"), std::nullopt);
  EXPECT_EQ(Rewrite("a.01", "a.#", "#"), std::nullopt);
  EXPECT_EQ(Rewrite("a.12345", "a.#", "#"), std::nullopt);
  EXPECT_EQ(Rewrite("a.-1", "a.#", "#"), std::nullopt);
  EXPECT_EQ(Rewrite("", "a", "b"), std::nullopt);
}

TEST(LayoutTest, KnowsMlxByItsNames) {
  const std::string decoder = "language_model.model.norm.weight";
  const auto mlx = FindLayout(FilesWith(
      {"vision_tower.vision_model.network.0.0.layer_scale", "mm_projector.0.weight", decoder}));
  ASSERT_TRUE(mlx.ok()) << mlx.status().message();
  EXPECT_EQ(mlx->name, "mlx");
  EXPECT_TRUE(mlx->mlx && mlx->has_vision);
  const auto exported = FindLayout(FilesWith({"multi_modal_projector.linear_0.weight", decoder}));
  ASSERT_TRUE(exported.ok()) << exported.status().message();
  EXPECT_EQ(exported->name, "mlx_export");
  EXPECT_TRUE(exported->mlx && !exported->has_vision);
  // LLaVA conversions of other models share names with the exports.
  EXPECT_FALSE(FindLayout(FilesWith({"multi_modal_projector.linear_1.weight", decoder})).ok());
}

TEST(LayoutTest, TrainingFormIsNamedAsSuch) {
  for (const char* name :
       {"model.vision_tower.vision_tower.model.patch_embed.0.rbr_conv.0.conv.weight",
        "model.vision_tower.vision_tower.model.network.1.proj.0.lkb_origin.conv.weight",
        "model.vision_tower.timm_model.stem.0.conv_kxk.0.conv.weight"}) {
    const Status status = StatusOf({name});
    EXPECT_EQ(status.code(), StatusCode::kUnsupported);
    EXPECT_THAT(status.message(), AllOf(HasSubstr(name), HasSubstr("reparameterize")));
  }
}

TEST(LayoutTest, OtherModels) {
  const Status status = StatusOf({"model.embed_tokens.weight", "model.norm.weight"});
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("not a FastVLM"), HasSubstr("model.embed_tokens.weight")));
  EXPECT_THAT(StatusOf({}).message(), HasSubstr("no tensors"));
}

class AppleNetworkTest : public ::testing::Test {
 protected:
  // Entries of `network` by what their tensors are called.
  static Status WithNetwork(const std::vector<std::string>& entries) {
    std::vector<std::string> names;
    for (const std::string& entry : entries) {
      names.push_back("model.vision_tower.vision_tower.model.network." + entry);
    }
    return StatusOf(names);
  }
};

TEST_F(AppleNetworkTest, OrderOfParts) {
  EXPECT_TRUE(WithNetwork({"0.0.layer_scale"}).ok());
  EXPECT_TRUE(WithNetwork({"0.reparam_conv.bias", "1.0.norm.bias"}).ok());
  EXPECT_TRUE(WithNetwork({"0.0.norm.bias", "1.proj.0.lkb_reparam.bias", "2.reparam_conv.bias",
                           "3.0.norm.bias"})
                  .ok());
}

TEST_F(AppleNetworkTest, GapsAndWrongOrder) {
  EXPECT_THAT(WithNetwork({"0.0.norm.bias", "2.0.norm.bias"}).message(),
              HasSubstr("no tensors named model.vision_tower.vision_tower.model.network.1.*"));
  EXPECT_THAT(WithNetwork({"0.0.norm.bias", "1.proj.0.lkb_reparam.bias"}).message(),
              HasSubstr("network.2.*: expected blocks"));
  for (const std::vector<std::string>& entries :
       {std::vector<std::string>{"0.0.norm.bias", "1.0.norm.bias"},
        {"0.0.norm.bias", "1.reparam_conv.bias"},
        {"0.proj.0.lkb_reparam.bias", "1.0.norm.bias"}}) {
    EXPECT_EQ(WithNetwork(entries).code(), StatusCode::kUnsupported);
  }
  EXPECT_THAT(WithNetwork({"0.0.norm.bias", "0.proj.0.lkb_reparam.bias"}).message(),
              HasSubstr("another kind"));
}

}  // namespace
}  // namespace fastvlm
