// Loads checkpoints with the exact names, shapes and dtypes of published models, as sparse files.
// tests/golden/key_lists/README.md says where the lists come from and how they are written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

enum class Kind { kApple, kFastVlm, kMlx, kMlxExport };

struct PublishedModel {
  const char* keys;
  Kind kind;
  TinyModel text;  // the decoder's sizes; the encoder's are found from the tensors
  int64_t tensors, projector_parameters, decoder_parameters;
};

void PrintTo(const PublishedModel& model, std::ostream* out) { *out << model.keys; }

// Of FastViTHD as published, less the 3072 x 768 head that only CLIP training used.
constexpr int64_t kVisionParameters = 125'073'504 - 3072 * 768;

TinyModel Text(int64_t hidden, int64_t layers, int64_t heads, int64_t kv_heads,
               int64_t intermediate, int64_t vocab, bool tied) {
  TinyModel model{.hidden = hidden,
                  .layers = layers,
                  .heads = heads,
                  .kv_heads = kv_heads,
                  .intermediate = intermediate,
                  .vocab = vocab,
                  .tied = tied,
                  .image_size = 1024};
  model.stages.resize(5);  // for the stride
  model.features = 3072;
  return model;
}

class KeyListsTest : public ::testing::TestWithParam<PublishedModel> {};

// The names that a name with a range "{<first>-<last>}" stands for; without a range, the name.
std::vector<std::string> Expand(const std::string& name) {
  const size_t open = name.find('{');
  if (open == name.npos) return {name};
  int first = 0, last = -1;
  EXPECT_EQ(std::sscanf(name.c_str() + open, "{%d-%d}", &first, &last), 2) << name;
  std::vector<std::string> names;
  for (int i = first; i <= last; ++i) {
    names.push_back(name.substr(0, open) + std::to_string(i) + name.substr(name.find('}') + 1));
  }
  return names;
}

// The tensors of a list as a file without contents, and its config.
void WriteSparse(const TemporaryDirectory& directory, const PublishedModel& model) {
  const auto text = ReadTextFile(
      FASTVLM_SOURCE_DIR "/tests/golden/key_lists/" + std::string(model.keys) + ".txt", 100'000);
  ASSERT_TRUE(text.ok()) << text.status().message();
  TestTensors tensors;
  int64_t bytes = 0;
  std::istringstream lines(text.value());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string names;
    TestTensor tensor;
    words >> names >> tensor.dtype;
    for (int64_t size; words >> size;) tensor.shape.push_back(size);
    for (const std::string& name : Expand(names)) {
      EXPECT_TRUE(tensors.emplace(name, tensor).second) << name;
      bytes += tensor.bytes();
    }
  }
  EXPECT_EQ(static_cast<int64_t>(tensors.size()), model.tensors);
  const std::string prefix = SafetensorsPrefix(tensors);
  directory.Write("config.json", model.kind == Kind::kFastVlm ? FastVlmConfig(model.text)
                                                              : AppleConfig(model.text));
  directory.Write("model.safetensors", prefix);
  std::filesystem::resize_file(directory.Path("model.safetensors"),
                               prefix.size() + static_cast<uintmax_t>(bytes));
}

TEST_P(KeyListsTest, MapsCompletely) {
  const PublishedModel& model = GetParam();
  const TemporaryDirectory directory, original;
  WriteSparse(directory, model);
  if (model.kind == Kind::kMlxExport) {
    const std::string size = std::string(model.keys).substr(10, 4);  // "mlx-apple-0.5b-fp16"
    WriteSparse(original, {.keys = size == "7b-i"   ? "apple-7b"
                                   : size == "1.5b" ? "apple-1.5b"
                                                    : "apple-0.5b",
                           .kind = Kind::kApple,
                           .text = model.text,
                           .tensors = size == "0.5b" ? 924 : 972,
                           .projector_parameters = 0,
                           .decoder_parameters = 0});
  }
  const auto opened = Checkpoint::Open(
      directory.path(), model.kind == Kind::kMlxExport ? original.path() : std::string());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const ModelConfig& config = opened.value().config();
  EXPECT_EQ(config.vision_parameters, kVisionParameters);
  EXPECT_EQ(config.projector_parameters, model.projector_parameters);
  EXPECT_EQ(config.decoder_parameters, model.decoder_parameters);
  EXPECT_EQ(config.vision.image_size, 1024);
  const int64_t depths[] = {2, 12, 24, 4, 2};
  ASSERT_EQ(config.vision.stages.size(), 5u);
  for (size_t s = 0; s < 5; ++s) {
    EXPECT_EQ(config.vision.stages[s].blocks, depths[s]);
    EXPECT_EQ(config.vision.stages[s].channels, 96 << s);
    EXPECT_EQ(config.vision.stages[s].ffn_channels, 4 * 96 << s);
    EXPECT_EQ(config.vision.stages[s].position_encoding, s >= 3);
  }
}

const TinyModel kText05 = Text(896, 24, 14, 2, 4864, 151936, true);
const TinyModel kText15 = Text(1536, 28, 12, 2, 8960, 151936, true);
const TinyModel kText7 = Text(3584, 28, 28, 4, 18944, 152064, false);

// fast_vlm pads the vocabulary by 64 rows.
TinyModel Padded(TinyModel model) {
  model.vocab += 64;
  return model;
}

// Apple's MLX exports store the head apart from the embedding, though it is the same.
TinyModel Untied(TinyModel model) {
  model.tied = false;
  return model;
}

INSTANTIATE_TEST_SUITE_P(
    Published, KeyListsTest,
    ::testing::Values(
        PublishedModel{"apple-0.5b", Kind::kApple, kText05, 924, 3'557'120, 494'032'768},
        PublishedModel{"apple-1.5b", Kind::kApple, kText15, 972, 7'080'960, 1'543'714'304},
        PublishedModel{"apple-7b", Kind::kApple, kText7, 972, 23'862'272, 7'615'616'512},
        PublishedModel{"hf-fast_vlm-0.5b", Kind::kFastVlm, Padded(kText05), 923, 3'557'120,
                       494'032'768 + 64 * 896},
        PublishedModel{"hf-fast_vlm-1.5b", Kind::kFastVlm, Padded(kText15), 971, 7'080'960,
                       1'543'714'304 + 64 * 1536},
        PublishedModel{"hf-fast_vlm-7b", Kind::kFastVlm, Padded(kText7), 971, 23'862'272,
                       7'615'616'512 + 2 * 64 * 3584},
        PublishedModel{"mlx-upstream-0.5b-bf16", Kind::kMlx, kText05, 879, 3'557'120, 494'032'768},
        PublishedModel{"mlx-apple-0.5b-fp16", Kind::kMlxExport, Untied(kText05), 295, 3'557'120,
                       494'032'768 + 151'936 * 896},
        PublishedModel{"mlx-apple-1.5b-int8", Kind::kMlxExport, Untied(kText15), 743, 7'080'960,
                       1'543'714'304 + 151'936 * 1536},
        PublishedModel{"mlx-apple-7b-int4", Kind::kMlxExport, kText7, 743, 23'862'272,
                       7'615'616'512}),
    [](const ::testing::TestParamInfo<PublishedModel>& model) {
      std::string name = model.param.keys;
      for (char& c : name) c = c == '-' || c == '.' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace fastvlm
