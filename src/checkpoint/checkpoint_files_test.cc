// Directories as people have them: tensors that older versions stored, files of other downloads,
// shards without their index, and GGUF files under other names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_model.h"
#include "support/flatten_model.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CheckpointFilesTest : public ::testing::Test {
 protected:
  CheckpointFilesTest() { directory_.Write("config.json", AppleConfig(model_)); }

  Result<Checkpoint> Open() const { return Checkpoint::Open(directory_.path()); }
  Result<Checkpoint> OpenWith(const TestTensors& extra) const {
    TestTensors tensors = tensors_;
    tensors.insert(extra.begin(), extra.end());
    directory_.Write("model.safetensors", EncodeSafetensors(tensors));
    return Open();
  }

  static std::string Part(int number, int count) {
    return fmt::format("model-{:05}-of-{:05}.safetensors", number, count);
  }
  // Writes every third tensor into each of three files, and returns the weight map of their index.
  std::string WriteThreeParts() const {
    TestTensors parts[3];
    std::string map;
    size_t i = 0;
    for (const auto& [name, tensor] : tensors_) {
      const size_t part = i++ % 3;
      parts[part][name] = tensor;
      map += fmt::format(R"({}"{}":"{}")", map.empty() ? "" : ",", name,
                         Part(static_cast<int>(part) + 1, 3));
    }
    for (int part = 0; part < 3; ++part) {
      directory_.Write(Part(part + 1, 3), EncodeSafetensors(parts[part]));
    }
    return map;
  }
  void WriteMap(const std::string& map) const {
    directory_.Write("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  }
  // A file with none of the right tensors.
  void WriteStray() const {
    directory_.Write("model.safetensors",
                     EncodeSafetensors({{"model.norm.weight", {"BF16", {3}, {}}}}));
  }

  void ExpectTheModel(const Result<Checkpoint>& opened) const {
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    const TemporaryDirectory plain;
    WriteAppleCheckpoint(plain, model_);
    const auto expected = Checkpoint::Open(plain.path());
    ASSERT_TRUE(expected.ok());
    EXPECT_EQ(FlattenModel(opened->tensors()), FlattenModel(expected->tensors()));
    EXPECT_EQ(opened->config().decoder_parameters, expected->config().decoder_parameters);
    EXPECT_EQ(opened->config().vision_parameters, expected->config().vision_parameters);
  }

  const TinyModel model_;
  const TestTensors tensors_ = AppleTensors(model_);
  TemporaryDirectory directory_;
};

TEST_F(CheckpointFilesTest, EachTensorThatTransformersIgnoresIsPassedOver) {
  const std::pair<const char*, TestTensor> extras[] = {
      {"model.rotary_emb.inv_freq", {"F32", {1}, {}}},
      {"model.layers.1.self_attn.rotary_emb.inv_freq", {"F16", {1}, {}}},
      {"model.layers.0.self_attn.bias", {"U8", {1, 1, 4, 4}, {}}},
      {"model.layers.0.self_attn.masked_bias", {"BOOL", {}, {}}},
      {"model.image_newline", {"BF16", {28}, {}}},
      {"image_newline", {"F4", {7}, {}}},  // a type that nothing here knows
      {"num_batches_tracked", {"I64", {}, {}}},
      {"model.vision_tower.vision_tower.model.conv_exp.bn.num_batches_tracked", {"I64", {}, {}}},
      {"model.vision_tower.vision_tower.model.network.1.proj.0.lkb_origin.bn.num_batches_tracked",
       {"I64", {1}, {}}}};
  for (const auto& [name, tensor] : extras) {
    SCOPED_TRACE(name);
    const auto opened = OpenWith({{name, tensor}});
    ExpectTheModel(opened);
    ASSERT_TRUE(opened.ok());
    EXPECT_THAT(opened->warnings(),
                ElementsAre(AllOf(HasSubstr(directory_.Path("model.safetensors: ")),
                                  HasSubstr(std::string("passed over: ") + name))));
  }
}

TEST_F(CheckpointFilesTest, AFewAreNamedInOneWarning) {
  TestTensors extra;
  for (int i = 0; i < 8; ++i) {
    extra[fmt::format("model.layers.{}.self_attn.rotary_emb.inv_freq", i)] = {"F32", {1}, {}};
  }
  const auto opened = OpenWith(extra);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_THAT(opened->warnings(),
              ElementsAre(AllOf(HasSubstr("layers.4.self_attn.rotary_emb"),
                                HasSubstr(" and 3 more"), Not(HasSubstr("layers.5.")))));
}

TEST_F(CheckpointFilesTest, TheOtherLayoutPassesOverTheSame) {
  directory_.Write("config.json", FastVlmConfig(model_));
  TestTensors tensors = FastVlmTensors(model_);
  tensors["model.language_model.rotary_emb.inv_freq"] = {"F32", {1}, {}};
  tensors["model.image_newline"] = {"F16", {28}, {}};
  directory_.Write("model.safetensors", EncodeSafetensors(tensors));
  const auto opened = Open();
  ExpectTheModel(opened);
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(opened->warnings(),
              ElementsAre(HasSubstr(
                  "passed over: model.image_newline, model.language_model.rotary_emb.inv_freq")));
}

TEST_F(CheckpointFilesTest, NamesThatAreOnlySimilarStayErrors) {
  for (const char* name :
       {"model.layers.0.self_attn.q_proj.masked_bias", "model.layers.0.self_attn.o_proj.bias",
        "model.layers.0.bias", "model.inv_freq", "model.rotary_emb.inv_freq.weight",
        "model.my_image_newline", "model.layers.9.self_attn.q_proj.bias"}) {
    const Status status = OpenWith({{name, {"F32", {1}, {}}}}).status();
    EXPECT_EQ(status.code(), StatusCode::kDataError) << name;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("1 unexpected tensors"), HasSubstr(name)));
  }
  // What is passed over is not among them.
  const Status status =
      OpenWith({{"model.rotary_emb.inv_freq", {"F32", {1}, {}}}, {"model.more", {"F32", {1}, {}}}})
          .status();
  EXPECT_THAT(status.message(), AllOf(HasSubstr("1 unexpected"), Not(HasSubstr("inv_freq"))));
}

TEST_F(CheckpointFilesTest, RowsOfImagesAreOnlySeparatedWhereTheConfigAsksForIt) {
  for (const bool apple : {true, false}) {
    std::string config = apple ? AppleConfig(model_) : FastVlmConfig(model_);
    config.insert(1, R"("mm_patch_merge_type": "spatial_unpad", )");
    directory_.Write("config.json", config);
    TestTensors tensors = apple ? tensors_ : FastVlmTensors(model_);
    tensors["model.image_newline"] = {"F16", {28}, {}};
    directory_.Write("model.safetensors", EncodeSafetensors(tensors));
    const Status status = Open().status();
    EXPECT_EQ(status.code(), StatusCode::kUnsupported);
    EXPECT_THAT(status.message(), HasSubstr("mm_patch_merge_type is \"spatial_unpad\"; only "
                                            "\"flat\" is supported"));
  }
}

TEST_F(CheckpointFilesTest, ACompleteIndexWinsOverAStrayFile) {
  WriteMap(WriteThreeParts());
  WriteStray();
  const auto opened = Open();
  ExpectTheModel(opened);
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(opened->warnings(),
              ElementsAre(AllOf(HasSubstr(directory_.Path("model.safetensors: not read")),
                                HasSubstr("index.json lists other files"))));
}

TEST_F(CheckpointFilesTest, AnIndexOfOtherFilesDoesNotStandInTheWay) {
  const std::string map = WriteThreeParts();
  for (const std::string& index : {map, std::string(R"("a":7)"), std::string()}) {
    directory_.Remove(Part(2, 3));
    WriteMap(index);
    const auto opened = OpenWith({});
    ExpectTheModel(opened);
    ASSERT_TRUE(opened.ok());
    EXPECT_THAT(opened->warnings(), IsEmpty());
  }
}

TEST_F(CheckpointFilesTest, AnIndexMayListModelSafetensors) {
  // Alone: the index adds nothing.
  WriteMap(R"("x":"model.safetensors")");
  ExpectTheModel(OpenWith({}));
  // With another file, which is needed then.
  TestTensors halves[2];
  std::string map;
  for (const auto& [name, tensor] : tensors_) {
    const bool second = name > "model.layers";
    halves[second ? 1 : 0][name] = tensor;
    map += fmt::format(R"({}"{}":"{}")", map.empty() ? "" : ",", name,
                       second ? "more.safetensors" : "model.safetensors");
  }
  WriteMap(map);
  directory_.Write("model.safetensors", EncodeSafetensors(halves[0]));
  const Status missing = Open().status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr(directory_.Path("more.safetensors: no such file")));
  directory_.Write("more.safetensors", EncodeSafetensors(halves[1]));
  const auto opened = Open();
  ExpectTheModel(opened);
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(opened->warnings(), IsEmpty());
}

TEST_F(CheckpointFilesTest, ShardsWithoutAnIndex) {
  WriteThreeParts();
  directory_.Write("adapter-00001-of-00009.safetensors", "of something else");
  const auto opened = Open();
  ExpectTheModel(opened);
  ASSERT_TRUE(opened.ok());
  EXPECT_THAT(opened->warnings(), IsEmpty());
}

TEST_F(CheckpointFilesTest, ShardsWithoutAnIndexMustBeComplete) {
  for (int missing = 1; missing <= 3; ++missing) {
    WriteThreeParts();
    directory_.Remove(Part(missing, 3));
    const Status status = Open().status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_THAT(status.message(), HasSubstr(directory_.Path(Part(missing, 3)) + ": no such file"));
  }
}

TEST_F(CheckpointFilesTest, ShardsWithoutAnIndexMustBeOneSet) {
  WriteThreeParts();
  for (const std::string& other : {Part(1, 2), Part(4, 3), Part(0, 3), Part(1, 2000)}) {
    directory_.Write(other, EncodeSafetensors({}));
    const Status status = Open().status();
    EXPECT_EQ(status.code(), StatusCode::kDataError) << other;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(other), HasSubstr("one model")));
    directory_.Remove(other);
  }
  directory_.Write(Part(3, 3), EncodeSafetensors(tensors_));
  EXPECT_THAT(Open().status().message(), HasSubstr("is also in"));
}

TEST_F(CheckpointFilesTest, AGgufFileIsKnownByItsFirstBytes) {
  directory_.Write("sha256-0123", "GGUF and what follows");
  auto found = FindGguf(directory_.Path("sha256-0123"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->model, directory_.Path("sha256-0123"));
  EXPECT_EQ(found->vision, "");
  directory_.Write("mmproj.gguf", "");
  found = FindGguf(directory_.Path("sha256-0123"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->vision, directory_.Path("mmproj.gguf"));
  // It is read as such, rather than refused for its name.
  EXPECT_THAT(Checkpoint::Open(directory_.Path("sha256-0123")).status().message(),
              HasSubstr("GGUF version"));
  for (const char* contents : {"", "GGU", "gguf, but not quite"}) {
    directory_.Write("other", contents);
    EXPECT_EQ(FindGguf(directory_.Path("other"))->model, "");
    EXPECT_THAT(Checkpoint::Open(directory_.Path("other")).status().message(),
                HasSubstr("or a GGUF file"));
  }
}

}  // namespace
}  // namespace fastvlm
