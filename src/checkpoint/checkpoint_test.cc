#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/flatten_model.h"
#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kVisionPrefix = "model.vision_tower.vision_tower.model.";

Result<Checkpoint> OpenApple(const TinyModel& model) {
  const TemporaryDirectory directory;
  WriteAppleCheckpoint(directory, model);
  // The files are mapped, so the directory may go.
  return Checkpoint::Open(directory.path());
}

Result<Checkpoint> OpenFastVlm(const TinyModel& model) {
  const TemporaryDirectory directory;
  WriteFastVlmCheckpoint(directory, model);
  return Checkpoint::Open(directory.path());
}

#define ASSERT_OPENED(checkpoint) ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message()

std::vector<float> Flatten(const Checkpoint& checkpoint) {
  return FlattenModel(checkpoint.tensors());
}

int64_t SizeOf(const TestTensors& tensors, const std::string& part) {
  int64_t elements = 0;
  for (const auto& [name, tensor] : tensors) {
    const bool counted = name.find("running_") == std::string::npos &&
                         name.find("num_batches") == std::string::npos &&
                         name != kVisionPrefix + "head.proj";
    if (counted && name.starts_with(part)) elements += tensor.elements();
  }
  return elements;
}

TEST(CheckpointTest, AppleLayout) {
  const TinyModel model;
  const auto opened = OpenApple(model);
  ASSERT_OPENED(opened);
  const ModelConfig& config = opened.value().config();
  EXPECT_EQ(config.layout, "apple");
  EXPECT_EQ(config.model_type, "llava_qwen2");
  EXPECT_EQ(config.dtype, Dtype::kBf16);
  EXPECT_THAT(opened.value().warnings(), IsEmpty());

  const VisionConfig& vision = config.vision;
  ASSERT_EQ(vision.stages.size(), 3u);
  for (size_t s = 0; s < 3; ++s) {
    EXPECT_EQ(vision.stages[s].channels, model.stages[s].channels);
    EXPECT_EQ(vision.stages[s].blocks, model.stages[s].blocks);
    EXPECT_EQ(vision.stages[s].ffn_channels, model.stages[s].ffn_channels);
    EXPECT_EQ(vision.stages[s].mixer, s == 2 ? Mixer::kAttention : Mixer::kRepMixer);
    EXPECT_EQ(vision.stages[s].position_encoding, s == 2);
  }
  EXPECT_EQ(vision.feature_channels, 64);
  EXPECT_EQ(vision.se_channels, 4);
  EXPECT_EQ(vision.image_size, 64);
  EXPECT_EQ(vision.stride(), 16);

  const DecoderConfig& decoder = config.decoder;
  EXPECT_EQ(decoder.hidden, 28);
  EXPECT_EQ(decoder.layers, 2);
  EXPECT_EQ(decoder.heads, 14);
  EXPECT_EQ(decoder.kv_heads, 2);
  EXPECT_EQ(decoder.head_dim, 2);
  EXPECT_EQ(decoder.intermediate, 40);
  EXPECT_EQ(decoder.vocab_rows, 50);
  EXPECT_EQ(decoder.rope_theta, 1e6);
  EXPECT_EQ(decoder.rms_norm_eps, 1e-6f);
  EXPECT_TRUE(decoder.tied_embeddings);
  EXPECT_EQ(decoder.max_positions, 32768);
  EXPECT_EQ(decoder.context_tokens, 8192);
  EXPECT_THAT(decoder.eos_ids, ElementsAre(45));
}

TEST(CheckpointTest, CountsParametersOnce) {
  for (const bool tied : {true, false}) {
    const TinyModel model{.tied = tied};
    const TestTensors tensors = AppleTensors(model);
    const auto opened = OpenApple(model);
    ASSERT_OPENED(opened);
    const ModelConfig& config = opened.value().config();
    EXPECT_EQ(config.vision_parameters, SizeOf(tensors, kVisionPrefix));
    EXPECT_EQ(config.projector_parameters, SizeOf(tensors, "model.mm_projector"));
    EXPECT_EQ(config.decoder_parameters,
              SizeOf(tensors, "model.layers") + SizeOf(tensors, "model.embed") +
                  SizeOf(tensors, "model.norm") + (tied ? 0 : SizeOf(tensors, "lm_head")));
    EXPECT_EQ(config.file_bytes, static_cast<int64_t>(EncodeSafetensors(tensors).size()));
  }
}

TEST(CheckpointTest, BothLayoutsGiveTheSameModel) {
  const TinyModel model;
  const auto apple = OpenApple(model);
  const auto fast_vlm = OpenFastVlm(model);
  ASSERT_OPENED(apple);
  ASSERT_OPENED(fast_vlm);
  EXPECT_EQ(fast_vlm.value().config().layout, "fast_vlm");
  EXPECT_EQ(fast_vlm.value().config().vision.image_size, 64);
  EXPECT_EQ(fast_vlm.value().config().vision_parameters, apple.value().config().vision_parameters);
  EXPECT_EQ(Flatten(apple.value()), Flatten(fast_vlm.value()));
}

TEST(CheckpointTest, EveryDtypeGivesTheSameModel) {
  TinyModel model;
  const auto bf16 = OpenApple(model);
  model.dtype = "F16";
  const auto f16 = OpenApple(model);
  model.dtype = "F32";
  const auto f32 = OpenApple(model);
  ASSERT_OPENED(bf16);
  ASSERT_OPENED(f16);
  ASSERT_OPENED(f32);
  EXPECT_EQ(f16.value().config().dtype, Dtype::kF16);
  EXPECT_EQ(f32.value().config().dtype, Dtype::kF32);
  EXPECT_EQ(Flatten(bf16.value()), Flatten(f16.value()));
  EXPECT_EQ(Flatten(bf16.value()), Flatten(f32.value()));
}

// Shapes that no config states: found from names and shapes alone.
TEST(CheckpointTest, ManyEncoderShapes) {
  const std::vector<std::vector<TinyStage>> encoders = {
      {{8, 1, 8}, {8, 1, 24}, {24, 3, 24}},
      {{4, 1, 8, false, true}, {8, 1, 16}, {32, 1, 64, true}, {64, 2, 64, true}},
      {{2, 2, 8}, {4, 12, 16}, {8, 3, 32}, {32, 4, 64, true, true}, {64, 2, 128, true, true}},
      {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}}};
  for (const auto& stages : encoders) {
    const TinyModel model{
        .stages = stages, .features = 2 * stages.back().channels, .image_size = 1024};
    for (const auto& opened : {OpenApple(model), OpenFastVlm(model)}) {
      ASSERT_OPENED(opened);
      const VisionConfig& vision = opened.value().config().vision;
      ASSERT_EQ(vision.stages.size(), stages.size());
      EXPECT_EQ(vision.stride(), model.stride());
      for (size_t s = 0; s < stages.size(); ++s) {
        EXPECT_EQ(vision.stages[s].channels, stages[s].channels);
        EXPECT_EQ(vision.stages[s].blocks, stages[s].blocks);
        EXPECT_EQ(vision.stages[s].ffn_channels, stages[s].ffn_channels);
        EXPECT_EQ(vision.stages[s].position_encoding, stages[s].position);
        const StageTensors& tensors = opened.value().tensors().vision.stages[s];
        EXPECT_EQ(tensors.downsample.has_value(), s > 0);
        EXPECT_EQ(tensors.attention_blocks.size(),
                  stages[s].attention ? static_cast<size_t>(stages[s].blocks) : 0u);
      }
    }
  }
}

TEST(CheckpointTest, FoldsBatchNorm) {
  const TinyModel model;
  const TestTensors tensors = AppleTensors(model);
  const auto opened = OpenApple(model);
  ASSERT_OPENED(opened);
  const std::string name = kVisionPrefix + "network.0.1.convffn.conv.";
  const auto value = [&](const char* tensor, size_t i) {
    return static_cast<double>(tensors.at(name + tensor).values[i]);
  };
  const DepthwiseTensors& conv =
      opened.value().tensors().vision.stages[0].rep_mixer_blocks[1].ffn.conv;
  ASSERT_EQ(conv.weight.size(), 8u * 49);
  for (size_t c = 0; c < 8; ++c) {
    const double scale = value("bn.weight", c) / std::sqrt(value("bn.running_var", c) + 1e-5);
    EXPECT_NEAR(conv.bias[c], value("bn.bias", c) - value("bn.running_mean", c) * scale, 1e-6);
    for (size_t tap = 0; tap < 49; ++tap) {
      EXPECT_NEAR(conv.weight[tap * 8 + c], value("conv.weight", c * 49 + tap) * scale, 1e-6);
    }
  }
}

TEST(CheckpointTest, TransposesConvolutions) {
  const TinyModel model;
  const TestTensors tensors = AppleTensors(model);
  const auto opened = OpenApple(model);
  ASSERT_OPENED(opened);
  const VisionTensors& vision = opened.value().tensors().vision;
  const auto& stem = tensors.at(kVisionPrefix + "patch_embed.0.reparam_conv.weight").values;
  const auto& down = tensors.at(kVisionPrefix + "network.1.proj.0.lkb_reparam.weight").values;
  for (size_t c = 0; c < 8; ++c) {
    for (size_t in = 0; in < 3; ++in) {
      for (size_t ky = 0; ky < 3; ++ky) {
        for (size_t kx = 0; kx < 3; ++kx) {
          EXPECT_EQ(vision.stem_conv[((ky * 3 + kx) * 3 + in) * 8 + c],
                    stem[((c * 3 + in) * 3 + ky) * 3 + kx]);
        }
      }
    }
  }
  const DepthwiseTensors& conv = vision.stages[1].downsample->conv;
  EXPECT_EQ(conv.in, 8);
  EXPECT_EQ(conv.out, 16);
  EXPECT_EQ(conv.kernel, 7);
  for (size_t o = 0; o < 16; ++o) {
    for (size_t tap = 0; tap < 49; ++tap) {
      EXPECT_EQ(conv.weight[tap * 16 + o], down[o * 49 + tap]);
    }
  }
}

TEST(CheckpointTest, TiedHead) {
  TinyModel model;
  for (const bool stored : {true, false}) {
    model.stored_head = stored;
    const auto opened = OpenApple(model);
    ASSERT_OPENED(opened);
    const DecoderTensors& decoder = opened.value().tensors().decoder;
    EXPECT_EQ(decoder.head.data, decoder.embedding.data);
    EXPECT_THAT(opened.value().warnings(), IsEmpty());
  }
}

TEST(CheckpointTest, TiedHeadThatDiffersIsIgnoredWithAWarning) {
  const TinyModel model;
  TestTensors tensors = AppleTensors(model);
  tensors["lm_head.weight"].values.back() += 1;
  const TemporaryDirectory directory;
  directory.Write("config.json", AppleConfig(model));
  directory.Write("model.safetensors", EncodeSafetensors(tensors));
  const auto opened = Checkpoint::Open(directory.path());
  ASSERT_OPENED(opened);
  const DecoderTensors& decoder = opened.value().tensors().decoder;
  EXPECT_EQ(decoder.head.data, decoder.embedding.data);
  EXPECT_THAT(opened.value().warnings(), ElementsAre(HasSubstr("lm_head.weight differs from")));
}

TEST(CheckpointTest, UntiedHead) {
  const TinyModel model{.tied = false};
  const TestTensors tensors = AppleTensors(model);
  const auto opened = OpenApple(model);
  ASSERT_OPENED(opened);
  EXPECT_EQ(opened.value().tensors().decoder.head.ToF32(), tensors.at("lm_head.weight").values);
  EXPECT_EQ(opened.value().tensors().decoder.embedding.ToF32(),
            tensors.at("model.embed_tokens.weight").values);
}

TEST(CheckpointTest, StaysValidWhenMoved) {
  auto opened = OpenApple(TinyModel());
  ASSERT_OPENED(opened);
  const std::vector<float> before = Flatten(opened.value());
  const Checkpoint moved = std::move(opened).value();
  EXPECT_EQ(Flatten(moved), before);
}

}  // namespace
}  // namespace fastvlm
