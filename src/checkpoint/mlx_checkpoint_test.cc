// MLX layouts: the same model in each gives the same values, and what is wrong is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "support/flatten_model.h"
#include "support/tiny_mlx_checkpoint.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

#define ASSERT_OPENED(checkpoint) ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message()

std::vector<float> FlattenDecoder(const Checkpoint& checkpoint) {
  return FlattenModel(checkpoint.tensors());
}

// The values of Apple's layout, its matrices rounded to what `bits` can hold.
std::vector<float> AppleValues(const TinyModel& model, int bits) {
  const TemporaryDirectory directory;
  directory.Write("config.json", AppleConfig(model));
  directory.Write("model.safetensors", EncodeSafetensors(RoundedAppleTensors(model, bits)));
  return FlattenDecoder(Checkpoint::Open(directory.path()).value());
}

std::vector<MlxForm> QuantizedForms() {
  return {{.bits = 8, .group = 64, .scales = "F16"},  {.bits = 8, .group = 32, .scales = "BF16"},
          {.bits = 4, .group = 64, .scales = "F32"},  {.bits = 4, .group = 32, .scales = "F16"},
          {.bits = 6, .group = 64, .scales = "BF16"}, {.bits = 3, .group = 64, .scales = "F32"}};
}

TEST(MlxCheckpointTest, ConversionGivesTheSameModel) {
  const TinyModel model = MlxTinyModel();
  for (const bool channels_last : {true, false}) {
    const MlxForm form{.channels_last = channels_last};
    const TemporaryDirectory directory;
    WriteMlxCheckpoint(directory, model, form);
    const auto opened = Checkpoint::Open(directory.path());
    ASSERT_OPENED(opened);
    EXPECT_EQ(opened->config().layout, "mlx");
    EXPECT_EQ(opened->config().dtype_text, "BF16");
    EXPECT_EQ(opened->config().vision.image_size, 64);
    EXPECT_EQ(FlattenDecoder(*opened), AppleValues(model, 0));
  }
}

TEST(MlxCheckpointTest, QuantizedConversionGivesTheDequantizedModel) {
  TinyModel model = MlxTinyModel();
  for (const bool tied : {true, false}) {
    model.tied = tied;
    for (const MlxForm& form : QuantizedForms()) {
      const TemporaryDirectory directory;
      WriteMlxCheckpoint(directory, model, form);
      const auto opened = Checkpoint::Open(directory.path());
      ASSERT_OPENED(opened);
      EXPECT_EQ(opened->config().dtype_text,
                fmt::format("{}-bit MLX (groups of {})", form.bits, form.group));
      EXPECT_EQ(FlattenDecoder(*opened), AppleValues(model, form.bits)) << form.bits;
    }
  }
}

TEST(MlxCheckpointTest, CountsParametersAsTheOriginal) {
  const TinyModel model = MlxTinyModel();
  const TemporaryDirectory apple, mlx;
  WriteAppleCheckpoint(apple, model);
  WriteMlxCheckpoint(mlx, model, {.bits = 4});
  const auto expected = Checkpoint::Open(apple.path());
  const auto actual = Checkpoint::Open(mlx.path());
  ASSERT_OPENED(expected);
  ASSERT_OPENED(actual);
  EXPECT_EQ(actual->config().vision_parameters, expected->config().vision_parameters);
  EXPECT_EQ(actual->config().projector_parameters, expected->config().projector_parameters);
  EXPECT_EQ(actual->config().decoder_parameters, expected->config().decoder_parameters);
}

// mlx-vlm's mixed recipes give some layers more bits, and leave out what no group divides.
TEST(MlxCheckpointTest, BitsMayDifferFromLayerToLayer) {
  const TinyModel model = MlxTinyModel();
  const TestTensors apple = RoundedAppleTensors(model, 4);
  const MlxForm four{.bits = 4}, six{.bits = 6, .group = 32}, none;
  TestTensors tensors = MlxTensors(apple, four);
  const auto use = [&](const std::string& prefix, const MlxForm& form) {
    for (const auto& [name, tensor] : MlxTensors(apple, four)) {
      if (name.starts_with(prefix)) tensors.erase(name);
    }
    for (const auto& [name, tensor] : MlxTensors(apple, form)) {
      if (name.starts_with(prefix)) tensors[name] = tensor;
    }
  };
  use("language_model.model.layers.0.mlp.down_proj.", six);
  use("language_model.model.layers.1.self_attn.q_proj.", none);
  const TemporaryDirectory directory;
  directory.Write("config.json", MlxConfig(model, four));
  directory.Write("model.safetensors", EncodeSafetensors(tensors));
  const auto opened = Checkpoint::Open(directory.path());
  ASSERT_OPENED(opened);
  EXPECT_EQ(FlattenDecoder(*opened), AppleValues(model, 4));
}

class MlxExportTest : public ::testing::Test {
 protected:
  MlxExportTest() { WriteAppleCheckpoint(apple_, model_); }

  Result<Checkpoint> OpenWith(const std::string& vision) const {
    return Checkpoint::Open(export_.path(), vision);
  }

  TinyModel model_ = [] {
    TinyModel model = MlxTinyModel();
    model.tied = false;
    return model;
  }();
  TemporaryDirectory export_, apple_;
};

TEST_F(MlxExportTest, WithTheOriginalsEncoderIsTheSameModel) {
  std::vector<MlxForm> forms = QuantizedForms();
  forms.push_back({});
  for (MlxForm form : forms) {
    form.vision = false;
    WriteMlxCheckpoint(export_, model_, form);
    const auto opened = OpenWith(apple_.path());
    ASSERT_OPENED(opened);
    EXPECT_EQ(opened->config().layout, "mlx_export");
    EXPECT_EQ(opened->config().vision.image_size, 64);
    EXPECT_EQ(FlattenDecoder(*opened), AppleValues(model_, form.bits)) << form.bits;
  }
}

TEST_F(MlxExportTest, TheEncoderMayComeFromAnyLayoutThatHasIt) {
  WriteMlxCheckpoint(export_, model_, {.vision = false, .bits = 8});
  const TemporaryDirectory fast_vlm, mlx;
  WriteFastVlmCheckpoint(fast_vlm, model_);
  WriteMlxCheckpoint(mlx, model_, {.bits = 4});
  const std::vector<float> expected = AppleValues(model_, 8);
  for (const std::string& vision : {fast_vlm.path(), mlx.path()}) {
    const auto opened = OpenWith(vision);
    ASSERT_OPENED(opened);
    EXPECT_EQ(FlattenDecoder(*opened), expected);
  }
}

TEST_F(MlxExportTest, WithoutAnEncoderSaysWhyAndWhatToDo) {
  WriteMlxCheckpoint(export_, model_, {.vision = false, .bits = 4});
  const Status status = OpenWith("").status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr(export_.path()), HasSubstr("fastvithd.mlpackage"),
                    HasSubstr("Core ML"), HasSubstr("vision_directory"), HasSubstr("0.5B")));
}

TEST_F(MlxExportTest, VisionDirectoriesThatDoNotHelp) {
  WriteMlxCheckpoint(export_, model_, {.vision = false, .bits = 4});
  EXPECT_EQ(OpenWith("/no/such/place").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(OpenWith("/no/such/place").status().message(), HasSubstr("/no/such/place"));
  EXPECT_THAT(OpenWith(export_.path()).status().message(), HasSubstr("no image encoder either"));

  const TemporaryDirectory larger;
  TinyModel other = model_;
  other.hidden = 128;
  WriteAppleCheckpoint(larger, other);
  const Status status = OpenWith(larger.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(larger.path()), HasSubstr("128"), HasSubstr("64"),
                                      HasSubstr("the same size")));

  const Status own = Checkpoint::Open(apple_.path(), apple_.path()).status();
  EXPECT_EQ(own.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(own.message(), HasSubstr("leave out the vision directory"));
}

class BadMlxTest : public ::testing::Test {
 protected:
  // Opens a checkpoint whose tensors are these and `change` made.
  template <typename Change>
  Status With(Change change) const {
    TestTensors tensors = MlxTensors(RoundedAppleTensors(model_, form_.bits), form_);
    change(tensors);
    return WithFile(EncodeSafetensors(tensors));
  }
  Status WithFile(const std::string& file) const {
    const TemporaryDirectory directory;
    directory.Write("config.json", MlxConfig(model_, form_));
    directory.Write("model.safetensors", file);
    return Checkpoint::Open(directory.path()).status();
  }
  static void Reshape(TestTensor& tensor, std::vector<int64_t> shape) {
    tensor.shape = std::move(shape);
    tensor.values.resize(tensor.dtype == "U32" ? 0 : static_cast<size_t>(tensor.elements()));
    tensor.words.resize(tensor.dtype == "U32" ? static_cast<size_t>(tensor.elements()) : 0);
  }

  const TinyModel model_ = MlxTinyModel();
  const MlxForm form_{.bits = 4};
  const std::string up_ = "language_model.model.layers.0.mlp.up_proj.";  // [128, 64]
};

TEST_F(BadMlxTest, PartsMissingOrOfAnotherKind) {
  const Status scales = With([&](TestTensors& t) { t.erase(up_ + "scales"); });
  EXPECT_EQ(scales.code(), StatusCode::kUnsupported);
  EXPECT_THAT(scales.message(), AllOf(HasSubstr(up_ + "scales"), HasSubstr("affine")));
  const Status biases = With([&](TestTensors& t) { t.erase(up_ + "biases"); });
  EXPECT_EQ(biases.code(), StatusCode::kUnsupported);
  EXPECT_THAT(biases.message(), HasSubstr(up_ + "biases"));
  const Status weight = With([&](TestTensors& t) { t.erase(up_ + "weight"); });
  EXPECT_EQ(weight.code(), StatusCode::kDataError);
  EXPECT_THAT(weight.message(), HasSubstr(up_ + "weight is missing"));
  const Status bytes = With([&](TestTensors& t) {
    t[up_ + "scales"] = {.dtype = "U8", .shape = {128, 1}, .values = {}};
  });
  EXPECT_EQ(bytes.code(), StatusCode::kDataError);
  EXPECT_THAT(bytes.message(), AllOf(HasSubstr(up_ + "scales"), HasSubstr("U8")));
  const Status mixed = With([&](TestTensors& t) { t[up_ + "biases"].dtype = "F32"; });
  EXPECT_THAT(mixed.message(), AllOf(HasSubstr("F16 scales"), HasSubstr("F32 biases")));
  const Status both = With([&](TestTensors& t) {
    t["language_model.model.norm.scales"] = {.dtype = "F16", .shape = {64, 1}, .values = {}};
  });
  EXPECT_THAT(both.message(), HasSubstr("unexpected"));
}

TEST_F(BadMlxTest, SizesThatDoNotBelongTogether) {
  const std::vector<std::pair<std::string, std::vector<int64_t>>> changes = {
      {"scales", {127, 1}}, {"scales", {128}},    {"scales", {128, 0}}, {"scales", {1, 128}},
      {"weight", {64, 8}},  {"weight", {128, 9}}, {"weight", {128, 5}}, {"weight", {128, 28}},
      {"weight", {1024}},   {"weight", {0, 8}},   {"weight", {128, 0}}, {"biases", {128, 2}}};
  for (const auto& [part, shape] : changes) {
    const Status status =
        With([&, &part = part, &shape = shape](TestTensors& t) { Reshape(t[up_ + part], shape); });
    EXPECT_EQ(status.code(), StatusCode::kDataError) << part << ShapeText(shape);
    EXPECT_THAT(status.message(), HasSubstr(up_)) << part << ShapeText(shape);
  }
  const Status groups = With([&](TestTensors& t) {
    Reshape(t[up_ + "scales"], {128, 3});
    Reshape(t[up_ + "biases"], {128, 3});
  });
  EXPECT_THAT(groups.message(),
              AllOf(HasSubstr(up_ + "weight"), HasSubstr("[128, 64]"), HasSubstr("3 scales")));
}

TEST_F(BadMlxTest, QuantizedWhereNoMatrixIs) {
  const std::string norm = "language_model.model.norm.weight";
  const Status status = With([&](TestTensors& t) {
    t[norm] = {.dtype = "U32", .shape = {8}, .values = {}, .words = std::vector<uint32_t>(8)};
  });
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), HasSubstr(norm));
}

TEST_F(BadMlxTest, OtherModes) {
  const TemporaryDirectory directory;
  WriteMlxCheckpoint(directory, model_, form_);
  std::string config = MlxConfig(model_, form_);
  config.replace(config.find("\"affine\""), 8, "\"mxfp4\"");
  directory.Write("config.json", config);
  const Status status = Checkpoint::Open(directory.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("mode"), HasSubstr("mxfp4")));
}

TEST_F(BadMlxTest, TruncatedAnywhere) {
  const std::string file = EncodeSafetensors(MlxTensors(RoundedAppleTensors(model_, 4), form_));
  for (size_t parts = 0; parts < 20; ++parts) {
    const Status status = WithFile(file.substr(0, file.size() * parts / 20));
    EXPECT_EQ(status.code(), StatusCode::kDataError) << parts;
    EXPECT_THAT(status.message(), HasSubstr("model.safetensors")) << parts;
  }
}

}  // namespace
}  // namespace fastvlm
