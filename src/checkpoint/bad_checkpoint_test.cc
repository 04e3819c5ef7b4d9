// Checkpoints with one thing wrong: each an error that says where and what, and none a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/checkpoint.h"
#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kTower = "model.vision_tower.vision_tower.model.";

class BadCheckpointTest : public ::testing::Test {
 protected:
  BadCheckpointTest() { directory_.Write("config.json", AppleConfig(model_)); }

  Status Open() const { return Checkpoint::Open(directory_.path()).status(); }
  Status OpenWithTensors() const {
    directory_.Write("model.safetensors", EncodeSafetensors(tensors_));
    return Open();
  }
  std::string File() const { return directory_.Path("model.safetensors"); }

  void ExpectDataError(const Status& status, const std::vector<std::string>& parts) const {
    EXPECT_EQ(status.code(), StatusCode::kDataError);
    for (const std::string& part : parts) EXPECT_THAT(status.message(), HasSubstr(part));
  }

  // Two shards with an index; the second begins with the layers.
  void WriteShards(const std::string& extra_in_map = "") const {
    TestTensors shards[2];
    std::string map;
    for (const auto& [name, tensor] : tensors_) {
      const int shard = name < "model.layers" ? 0 : 1;
      shards[shard][name] = tensor;
      map += fmt::format(R"({}"{}":"{}")", map.empty() ? "" : ",", name, kShards[shard]);
    }
    for (int i = 0; i < 2; ++i) directory_.Write(kShards[i], EncodeSafetensors(shards[i]));
    WriteIndex(map + extra_in_map);
  }
  void WriteIndex(const std::string& map) const {
    directory_.Write("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  }

  static constexpr const char* kShards[] = {"model-00001-of-00002.safetensors",
                                            "model-00002-of-00002.safetensors"};
  const TinyModel model_;
  TestTensors tensors_ = AppleTensors(model_);
  TemporaryDirectory directory_;
};

TEST_F(BadCheckpointTest, TheDirectoryItself) {
  const Status missing = Checkpoint::Open(directory_.Path("nowhere")).status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr(directory_.Path("nowhere: no such directory")));
  const Status file = Checkpoint::Open(directory_.Path("config.json")).status();
  EXPECT_EQ(file.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(file.message(), HasSubstr("is a file, expected the directory"));
}

TEST_F(BadCheckpointTest, NoTensorFile) {
  const Status status = Open();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr(directory_.path()), HasSubstr("model.safetensors.index.json")));
}

TEST_F(BadCheckpointTest, NoConfig) {
  directory_.Remove("config.json");
  const Status status = OpenWithTensors();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(directory_.Path("config.json")));
}

TEST_F(BadCheckpointTest, DirectoryOrEmptyFileForTensors) {
  std::filesystem::create_directory(File());
  EXPECT_THAT(Open().message(), HasSubstr(File() + ": is a directory, expected a file"));
  directory_.Remove("model.safetensors");
  directory_.Write("model.safetensors", "");
  ExpectDataError(Open(), {File(), "has 0 bytes"});
}

TEST_F(BadCheckpointTest, LayoutAndConfigDisagree) {
  directory_.Write("config.json", FastVlmConfig(model_));
  const Status status = OpenWithTensors();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("model_type is \"fast_vlm\"; only \"llava_qwen2\""));
}

TEST_F(BadCheckpointTest, EveryTensorIsMissed) {
  const TestTensors all = tensors_;
  int tested = 0;
  for (const auto& [name, tensor] : all) {
    // Known and not needed.
    if (name == "lm_head.weight" || name == kTower + "head.proj" || tensor.dtype == "I64") continue;
    tensors_.erase(name);
    const Status status = OpenWithTensors();
    // Optional as a whole, so half of it is too much rather than too little.
    if (name == kTower + "network.4.reparam_conv.weight") {
      ExpectDataError(status, {"unexpected", "network.4.reparam_conv.bias"});
    } else {
      ExpectDataError(status, {File(), "tensor " + name + " is missing"});
    }
    tensors_ = all;
    ++tested;
  }
  EXPECT_GT(tested, 100);
}

TEST_F(BadCheckpointTest, NoTensorIsNeededThatIsIgnored) {
  for (auto it = tensors_.begin(); it != tensors_.end();) {
    const bool ignored = it->first == "lm_head.weight" || it->first == kTower + "head.proj" ||
                         it->second.dtype == "I64";
    it = ignored ? tensors_.erase(it) : std::next(it);
  }
  EXPECT_TRUE(OpenWithTensors().ok());
}

TEST_F(BadCheckpointTest, EveryShapeIsChecked) {
  const TestTensors all = tensors_;
  for (const auto& [name, tensor] : all) {
    if (name == kTower + "head.proj" || tensor.dtype == "I64") continue;
    for (size_t axis = 0; axis <= tensor.shape.size(); ++axis) {
      TestTensor& changed = tensors_[name];
      if (axis < tensor.shape.size()) {
        ++changed.shape[axis];
      } else {
        changed.shape.push_back(1);  // one axis too many
      }
      changed.values.clear();
      const Status status = OpenWithTensors();
      EXPECT_EQ(status.code(), StatusCode::kDataError) << name << axis;
      EXPECT_THAT(status.message(),
                  AllOf(HasSubstr(File()), HasSubstr("expected"), HasSubstr("found")));
      tensors_ = all;
    }
  }
}

TEST_F(BadCheckpointTest, MisshapedTensorsNameBothShapes) {
  tensors_["model.layers.1.self_attn.k_proj.weight"] = {"BF16", {28, 28}, {}};
  ExpectDataError(OpenWithTensors(), {"tensor model.layers.1.self_attn.k_proj.weight",
                                      "expected shape [4, 28], found [28, 28]"});
}

TEST_F(BadCheckpointTest, AttentionWidthsMustFitHeads) {
  const TinyModel model{.stages = {{8, 1, 8}, {48, 1, 8, true}}, .image_size = 64};
  tensors_ = AppleTensors(model);
  ExpectDataError(OpenWithTensors(),
                  {"network.2.0.token_mixer.qkv.weight", "expected a multiple of 32", "found 48"});
}

TEST_F(BadCheckpointTest, WidthsMustBeMultiplesOfTheStageBefore) {
  const TinyModel model{.stages = {{8, 1, 8}, {12, 1, 8}}, .image_size = 64};
  tensors_ = AppleTensors(model);
  ExpectDataError(OpenWithTensors(),
                  {"network.1.proj.0.lkb_reparam.weight", "expected a multiple of 8", "found 12"});
}

TEST_F(BadCheckpointTest, TooManyStages) {
  TinyModel model{.stages = {}, .image_size = 64};
  for (int i = 0; i < 9; ++i) model.stages.push_back({1, 1, 1});
  tensors_ = AppleTensors(model);
  const Status status = OpenWithTensors();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(File()), HasSubstr("9 stages")));
}

TEST_F(BadCheckpointTest, UnexpectedTensorsAreListedAndCounted) {
  for (int i = 0; i < 7; ++i) {
    tensors_[fmt::format("model.layers.0.adapter.{}", i)] = {"BF16", {1}, {}};
  }
  ExpectDataError(OpenWithTensors(), {File(), "7 unexpected tensors", "model.layers.0.adapter.0",
                                      "model.layers.0.adapter.4 and 2 more"});
}

TEST_F(BadCheckpointTest, MoreLayersThanTheConfigSays) {
  for (const auto& [name, tensor] : AppleTensors(TinyModel{.layers = 3})) tensors_[name] = tensor;
  ExpectDataError(OpenWithTensors(), {"12 unexpected tensors", "model.layers.2."});
}

TEST_F(BadCheckpointTest, GapInBlocksAndLayers) {
  const TestTensors all = tensors_;
  for (const auto& [part, expected] : std::vector<std::pair<std::string, std::string>>{
           {kTower + "network.0.0.", "network.0.0.convffn.fc1.weight is missing"},
           {"model.layers.0.", "model.layers.0.input_layernorm.weight is missing"}}) {
    std::erase_if(tensors_,
                  [&part = part](const auto& entry) { return entry.first.starts_with(part); });
    ExpectDataError(OpenWithTensors(), {expected});
    tensors_ = all;
  }
}

TEST_F(BadCheckpointTest, MissingTensorHintsAtUnknownNames) {
  tensors_["model.layers.0.self_attn.q_proj.wieght"] =
      tensors_["model.layers.0.self_attn.q_proj.weight"];
  tensors_.erase("model.layers.0.self_attn.q_proj.weight");
  ExpectDataError(OpenWithTensors(), {"q_proj.weight is missing", "q_proj.wieght"});
}

TEST_F(BadCheckpointTest, DtypesThatCannotBeRead) {
  for (const char* dtype : {"U32", "I64", "F8_E4M3"}) {
    tensors_["model.layers.0.mlp.up_proj.weight"].dtype = dtype;
    tensors_["model.layers.0.mlp.up_proj.weight"].values.clear();
    ExpectDataError(OpenWithTensors(), {File(), "tensor model.layers.0.mlp.up_proj.weight",
                                        fmt::format("expected F32, F16 or BF16, found {}", dtype)});
  }
}

TEST_F(BadCheckpointTest, UnusedTensorsMayHaveAnyDtype) {
  tensors_[kTower + "head.proj"] = {"F8_E5M2", {3}, {}};
  EXPECT_TRUE(OpenWithTensors().ok());
}

TEST_F(BadCheckpointTest, ValuesThatCannotBe) {
  const TestTensors all = tensors_;
  tensors_["model.norm.weight"].values[5] = std::numeric_limits<float>::quiet_NaN();
  ExpectDataError(OpenWithTensors(), {"tensor model.norm.weight", "finite", "element 5"});
  tensors_ = all;
  tensors_[kTower + "network.0.0.layer_scale"].values[0] = std::numeric_limits<float>::infinity();
  ExpectDataError(OpenWithTensors(), {"network.0.0.layer_scale", "finite", "found inf"});
  tensors_ = all;
  tensors_[kTower + "network.2.0.convffn.conv.bn.running_var"].values[3] = -0.5f;
  ExpectDataError(OpenWithTensors(), {"network.2.0.convffn.conv.bn.running_var",
                                      "at least 0, found -0.5 at element 3"});
}

TEST_F(BadCheckpointTest, UntiedModelsNeedTheirHead) {
  directory_.Write("config.json", AppleConfig(TinyModel{.tied = false}));
  tensors_.erase("lm_head.weight");
  ExpectDataError(OpenWithTensors(), {File(), "tensor lm_head.weight is missing"});
}

TEST_F(BadCheckpointTest, VocabularyMustBeAsTheConfigSays) {
  directory_.Write("config.json", AppleConfig(TinyModel{.vocab = 51}));
  ExpectDataError(OpenWithTensors(),
                  {"model.embed_tokens.weight", "expected shape [51, 28], found [50, 28]"});
}

TEST_F(BadCheckpointTest, ShardsEqualASingleFile) {
  WriteShards();
  const auto sharded = Checkpoint::Open(directory_.path());
  ASSERT_TRUE(sharded.ok()) << sharded.status().message();
  directory_.Remove("model.safetensors.index.json");
  ASSERT_TRUE(OpenWithTensors().ok());
  const auto single = Checkpoint::Open(directory_.path());
  const DecoderTensors& a = sharded.value().tensors().decoder;
  const DecoderTensors& b = single.value().tensors().decoder;
  EXPECT_THAT(a.embedding.file, HasSubstr(kShards[0]));
  EXPECT_THAT(a.layers[0].q.weight.file, HasSubstr(kShards[1]));
  EXPECT_EQ(a.embedding.ToF32(), b.embedding.ToF32());
  EXPECT_EQ(a.layers[1].down.weight.ToF32(), b.layers[1].down.weight.ToF32());
  EXPECT_GT(sharded.value().config().file_bytes, single.value().config().file_bytes);
}

TEST_F(BadCheckpointTest, ShardsThatDisagreeWithTheirIndex) {
  WriteShards(fmt::format(R"(,"model.more":"{}")", kShards[0]));
  ExpectDataError(Open(), {directory_.Path(kShards[0]), "model.more is missing", "index.json"});

  WriteIndex(fmt::format(R"("model.norm.weight":"{}")", kShards[1]));
  ExpectDataError(Open(), {directory_.Path(kShards[1]), "is not listed in"});

  WriteShards();
  directory_.Write(kShards[1], EncodeSafetensors(tensors_));
  ExpectDataError(Open(), {directory_.Path(kShards[1]), "lm_head.weight is also in"});

  directory_.Remove(kShards[1]);
  const Status missing = Open();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr(directory_.Path(kShards[1]) + ": no such file"));
}

TEST_F(BadCheckpointTest, TensorInAnotherShardThanTheIndexSays) {
  WriteShards();
  std::string map;
  for (const auto& [name, tensor] : tensors_) {
    map += fmt::format(R"({}"{}":"{}")", map.empty() ? "" : ",", name,
                       kShards[name == "lm_head.weight"]);
  }
  map += fmt::format(R"(,"x":"{}")", kShards[1]);
  WriteIndex(map);
  ExpectDataError(Open(), {"lm_head.weight expected in " + directory_.Path(kShards[1]),
                           "found in " + directory_.Path(kShards[0])});
}

TEST_F(BadCheckpointTest, IndexMayNotLeaveItsDirectory) {
  for (const char* name :
       {"../model.safetensors", "/etc/passwd", "a/b", "", ".", "..", "a\\\\b", "a\\u0000b"}) {
    WriteIndex(fmt::format(R"("a":"{}")", name));
    ExpectDataError(Open(), {"index.json", "weight_map of a must be the name of a file"});
  }
  WriteIndex("\"a\":7");
  ExpectDataError(Open(), {"found 7"});
  WriteIndex("");
  ExpectDataError(Open(), {"weight_map must be an object"});
}

// The file cut at every 13th byte of its header, every 997th of its data, and before its last byte.
TEST_F(BadCheckpointTest, PrefixesAreErrors) {
  const std::string file = EncodeSafetensors(tensors_);
  const size_t header = SafetensorsPrefix(tensors_).size();
  for (size_t size = 0; size < file.size(); size += size < header ? 13 : 997) {
    directory_.Write("model.safetensors", std::string_view(file).substr(0, size));
    ExpectDataError(Open(), {File()});
  }
  directory_.Write("model.safetensors", std::string_view(file).substr(0, file.size() - 1));
  ExpectDataError(Open(), {"tensor ", fmt::format("needs up to {}", file.size()),
                           fmt::format("has {} bytes", file.size() - 1), "truncated"});
}

TEST_F(BadCheckpointTest, FlippedBytesNeverCrash) {
  TestRandom random;
  const std::string file = EncodeSafetensors(tensors_);
  const int header = static_cast<int>(SafetensorsPrefix(tensors_).size());
  int refused = 0;
  for (int round = 0; round < 600; ++round) {
    std::string flipped = file;
    for (int i = random.Integer(1, 3); i > 0; --i) {
      flipped[static_cast<size_t>(random.Integer(0, header - 1))] =
          static_cast<char>(random.Integer(0, 255));
    }
    directory_.Write("model.safetensors", flipped);
    const Status status = Open();
    refused += !status.ok();
    if (!status.ok()) {
      EXPECT_THAT(status.message(), HasSubstr(directory_.path()));
    }
    EXPECT_LT(status.message().size(), 2000u);
  }
  EXPECT_GT(refused, 400);
}

TEST_F(BadCheckpointTest, FlippedConfigBytesNeverCrash) {
  TestRandom random;
  ASSERT_TRUE(OpenWithTensors().ok());
  const std::string config = AppleConfig(model_);
  for (int round = 0; round < 200; ++round) {
    std::string flipped = config;
    flipped[static_cast<size_t>(random.Integer(0, static_cast<int>(config.size()) - 1))] =
        static_cast<char>(random.Integer(0, 255));
    directory_.Write("config.json", flipped);
    const Status status = Open();
    if (!status.ok()) {
      EXPECT_THAT(status.message(), HasSubstr(directory_.path()));
    }
  }
}

}  // namespace
}  // namespace fastvlm
