// The bundled model through GGUF files and back: equal answers, sizes, and what must not be lost.
#include "fastvlm/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"
#include "fastvlm/fastvlm.h"
#include "runtime/load_vocabulary.h"
#include "support/paths.h"
#include "support/temporary_directory.h"
#include "support/tiny_checkpoint.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

using testing::HasSubstr;

QuantizeOptions TypeOption(WeightFormat type) {
  QuantizeOptions options;
  options.type = type;
  return options;
}

std::string Quantize(const std::string& source, const TemporaryDirectory& directory,
                     const QuantizeOptions& options) {
  const std::string out = directory.path() + "/out";
  const auto report = QuantizeModel(source, out, options);
  EXPECT_TRUE(report.ok()) << report.status().message();
  return out;
}

std::shared_ptr<const Model> LoadAs(const std::string& directory, Precision precision) {
  ModelOptions options;
  options.precision = precision;
  options.threads = 1;
  auto model = Model::Load(directory, options);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

std::vector<int32_t> Answer(const std::shared_ptr<const Model>& model, const std::string& image,
                            const std::string& question) {
  auto session = Session::Create(model);
  UserTurn turn;
  turn.text = question;
  turn.images.push_back(std::move(Image::FromFile(image)).value());
  GenerateOptions generate;
  generate.max_tokens = 24;
  auto answer = session->Ask(turn, generate);
  EXPECT_TRUE(answer.ok()) << answer.status().message();
  return answer.ok() ? answer->token_ids : std::vector<int32_t>();
}

std::vector<std::string> SampleImages() {
  std::vector<std::string> images;
  for (const char* name : {"count.png", "fox.png"}) {
    images.push_back(kNano + "/samples/" + name);
  }
  return images;
}

struct Case {
  WeightFormat type;
  Precision ours;
  Precision from_safetensors;  // what the same values are called there
  const char* dtype;
  double share;  // of the source's size, at most; its weights have 16 bits
};

class QuantizeNano : public testing::TestWithParam<Case> {};

TEST_P(QuantizeNano, AnswersAsTheSamePrecisionFromSafetensors) {
  const TemporaryDirectory directory;
  const std::string out = Quantize(kNano, directory, TypeOption(GetParam().type));
  const auto ours = LoadAs(out, GetParam().ours);
  const auto theirs = LoadAs(kNano, GetParam().from_safetensors);
  ASSERT_TRUE(ours != nullptr && theirs != nullptr);
  EXPECT_EQ(ours->info().layout, "gguf");
  EXPECT_EQ(ours->info().dtype, GetParam().dtype);
  EXPECT_EQ(ours->info().vocabulary, theirs->info().vocabulary);
  EXPECT_EQ(ours->info().context_tokens, theirs->info().context_tokens);
  EXPECT_LT(static_cast<double>(ours->info().file_bytes),
            GetParam().share * static_cast<double>(theirs->info().file_bytes));
  for (const std::string& image : SampleImages()) {
    const auto tokens = ours->EncodeVisualTokens(*Image::FromFile(image));
    const auto expected = theirs->EncodeVisualTokens(*Image::FromFile(image));
    ASSERT_TRUE(tokens.ok() && expected.ok());
    EXPECT_EQ(tokens->values, expected->values);  // to the last bit
    EXPECT_EQ(Answer(ours, image, "Describe the image."),
              Answer(theirs, image, "Describe the image."));
  }
}

// BF16 is asked for by name: kept as it is stored, it is multiplied in f32 on every CPU.
INSTANTIATE_TEST_SUITE_P(
    Types, QuantizeNano,
    testing::Values(Case{WeightFormat::kF32, Precision::kAsStored, Precision::kF32, "F32", 2.1},
                    Case{WeightFormat::kF16, Precision::kAsStored, Precision::kF32, "F16", 1.1},
                    Case{WeightFormat::kBf16, Precision::kBf16, Precision::kBf16, "BF16", 1.1},
                    Case{WeightFormat::kQ8, Precision::kAsStored, Precision::kQ8, "Q8_0", 0.65},
                    Case{WeightFormat::kQ4, Precision::kAsStored, Precision::kQ4, "Q4_0", 0.55}));

TEST(Quantize, TheTokenizerComesThrough) {
  const TemporaryDirectory directory;
  const std::string out = Quantize(kNano, directory, TypeOption(WeightFormat::kQ8));
  const auto checkpoint = Checkpoint::Open(out);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  const auto vocabulary = LoadVocabulary(*checkpoint, out);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.status().message();
  const auto ours = Tokenizer::Create(*vocabulary, out);
  const auto theirs = Tokenizer::Load(kNano);
  ASSERT_TRUE(ours.ok() && theirs.ok());
  EXPECT_EQ(ours->size(), theirs->size());
  for (const char* text : {"Describe the image.", "<|im_start|>user\nna\xc3\xafve  12 <image>\n",
                           "\xe6\xb0\xb4 \xf0\x9f\x98\x80 \t x<|im_end|>", ""}) {
    EXPECT_EQ(ours->Encode(text), theirs->Encode(text)) << text;
  }
  for (int32_t id = 0; id < theirs->size(); ++id) {
    ASSERT_EQ(ours->TokenBytes(id), theirs->TokenBytes(id)) << id;
    ASSERT_EQ(ours->IsSpecial(id), theirs->IsSpecial(id)) << id;
  }
  EXPECT_THAT(std::string(checkpoint->tokenizer()->chat_template), HasSubstr("<|im_start|>"));
}

// From one set of GGUF files to another nothing changes where the type stays.
TEST(Quantize, FilesOfTheSameTypeAreCopied) {
  const TemporaryDirectory first_directory, second_directory;
  const std::string first = Quantize(kNano, first_directory, TypeOption(WeightFormat::kQ4));
  const std::string second = Quantize(first, second_directory, TypeOption(WeightFormat::kQ4));
  const auto a = Checkpoint::Open(first), b = Checkpoint::Open(second);
  ASSERT_TRUE(a.ok() && b.ok());
  for (size_t i = 0; i < a->tensors().decoder.layers.size(); ++i) {
    const Tensor& x = a->tensors().decoder.layers[i].down.weight;
    const Tensor& y = b->tensors().decoder.layers[i].down.weight;
    ASSERT_EQ(x.bytes(), y.bytes());
    EXPECT_EQ(std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())), 0);
  }
  EXPECT_EQ(a->tensors().vision.stem_conv, b->tensors().vision.stem_conv);
}

TEST(Quantize, EveryLayoutAndUntiedHeads) {
  TinyModel tiny;
  tiny.tied = false;
  const TemporaryDirectory source, directory;
  WriteAppleCheckpoint(source, tiny);
  const auto before = Checkpoint::Open(source.path());
  ASSERT_TRUE(before.ok()) << before.status().message();
  // There is no tokenizer; the weights are what is compared.
  source.Write("vocab.json", "{}");
  source.Write("merges.txt", "");
  QuantizeOptions options = TypeOption(WeightFormat::kBf16);
  const std::string out = Quantize(source.path(), directory, options);
  const auto after = Checkpoint::Open(out);
  ASSERT_TRUE(after.ok()) << after.status().message();
  EXPECT_FALSE(after->config().decoder.tied_embeddings);
  EXPECT_EQ(after->tensors().decoder.head.ToF32(), before->tensors().decoder.head.ToF32());
  EXPECT_EQ(after->tensors().decoder.layers[1].q.bias, before->tensors().decoder.layers[1].q.bias);
  const auto& stage = after->tensors().vision.stages[2];
  const auto& expected = before->tensors().vision.stages[2];
  EXPECT_EQ(stage.attention_blocks[1].ffn.conv.weight,
            expected.attention_blocks[1].ffn.conv.weight);
  EXPECT_EQ(stage.attention_blocks[1].ffn.conv.bias, expected.attention_blocks[1].ffn.conv.bias);
  EXPECT_EQ(stage.downsample->conv.weight, expected.downsample->conv.weight);
  EXPECT_EQ(stage.position->weight, expected.position->weight);
  EXPECT_EQ(after->tensors().vision.squeeze.weight.ToF32(),
            before->tensors().vision.squeeze.weight.ToF32());
}

TEST(Quantize, NothingIsReplacedUnasked) {
  const TemporaryDirectory directory;
  directory.Write("model.gguf", "mine");
  auto report = QuantizeModel(kNano, directory.path(), {});
  EXPECT_EQ(report.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(report.status().message(), HasSubstr("exists already"));
  EXPECT_EQ(ReadTextFile(directory.path() + "/model.gguf", 99).value(), "mine");

  QuantizeOptions replace;
  replace.overwrite = true;
  report = QuantizeModel(kNano, directory.path(), replace,
                         [](QuantizeStep, double done) { return done < 0.5; });
  EXPECT_EQ(report.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(ReadTextFile(directory.path() + "/model.gguf", 99).value(), "mine");
  EXPECT_FALSE(FileExists(directory.path() + "/mmproj.gguf"));
  EXPECT_FALSE(FileExists(directory.path() + "/model.gguf.part"));
  EXPECT_FALSE(FileExists(directory.path() + "/mmproj.gguf.part"));
  EXPECT_TRUE(QuantizeModel(kNano, directory.path(), replace).ok());
  EXPECT_TRUE(InspectModel(directory.path()).ok());
}

// Killed at the beginning of its work, in the middle, and when all is written but not yet in place:
// what is there is never a model, and the next run is not in its way.
TEST(QuantizeDeathTest, KilledItLeavesNoModel) {
  int reports = 0;  // while it writes; as many each time
  const TemporaryDirectory whole;
  const auto count = [&reports](QuantizeStep step, double) {
    reports += step == QuantizeStep::kWriting ? 1 : 0;
    return true;
  };
  ASSERT_TRUE(QuantizeModel(kNano, whole.Path("out"), {}, count).ok());
  ASSERT_GE(reports, 4);
  for (const int moment : {1, reports / 4, reports / 2, reports}) {
    SCOPED_TRACE(moment);
    const TemporaryDirectory directory;
    const std::string out = directory.Path("out");
    int report = 0;
    const auto kill_at = [moment, &report](QuantizeStep step, double) {
      if (step == QuantizeStep::kWriting && ++report == moment) raise(SIGKILL);
      return true;
    };
    EXPECT_EXIT((void)QuantizeModel(kNano, out, {}, kill_at), testing::KilledBySignal(SIGKILL), "");
    EXPECT_TRUE(FileExists(out + "/model.gguf.part"));
    EXPECT_FALSE(FileExists(out + "/model.gguf"));
    EXPECT_FALSE(InspectModel(out).ok());
    ASSERT_TRUE(QuantizeModel(kNano, out, {}).ok());
    EXPECT_TRUE(InspectModel(out).ok());
    EXPECT_FALSE(FileExists(out + "/model.gguf.part"));
    EXPECT_FALSE(FileExists(out + "/mmproj.gguf.part"));
  }
}

// A language model alone needs an encoder from elsewhere.
TEST(Quantize, TheImageHalfMayComeFromAnotherDirectory) {
  const TemporaryDirectory directory, text;
  const std::string out = Quantize(kNano, directory, TypeOption(WeightFormat::kQ8));
  const std::string model = text.path() + "/some-model-q8_0.gguf";
  ASSERT_EQ(std::rename((out + "/model.gguf").c_str(), model.c_str()), 0);
  const auto alone = InspectModel(text.path());
  EXPECT_EQ(alone.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(alone.status().message(), HasSubstr("vision_directory"));
  for (const std::string& vision : {kNano, out}) {
    for (const std::string& path : {text.path(), model}) {
      const auto joined = InspectModel(path, vision);
      ASSERT_TRUE(joined.ok()) << joined.status().message();
      EXPECT_EQ(joined->image_size, 192);
    }
  }
  TinyModel tiny;
  const TemporaryDirectory other;
  WriteAppleCheckpoint(other, tiny);
  EXPECT_THAT(InspectModel(text.path(), other.path()).status().message(),
              HasSubstr("do not belong together"));
}

TEST(Quantize, DamagedFilesAreErrors) {
  const TemporaryDirectory directory, damaged;
  const std::string out = Quantize(kNano, directory, TypeOption(WeightFormat::kQ4));
  const std::string model = ReadTextFile(out + "/model.gguf", size_t{1} << 30).value();
  const std::string vision = ReadTextFile(out + "/mmproj.gguf", size_t{1} << 30).value();
  for (const size_t size : {size_t{0}, size_t{30}, model.size() / 2, model.size() - 1000}) {
    damaged.Write("model.gguf", model.substr(0, size));
    damaged.Write("mmproj.gguf", vision);
    EXPECT_EQ(InspectModel(damaged.path()).status().code(), StatusCode::kDataError) << size;
  }
  damaged.Write("model.gguf", model);
  damaged.Write("mmproj.gguf", model);  // not an encoder
  EXPECT_THAT(InspectModel(damaged.path()).status().message(), HasSubstr("not an image encoder"));
  std::string renamed = model;
  renamed.replace(renamed.find("qwen2"), 5, "llama");
  damaged.Write("model.gguf", renamed);
  EXPECT_THAT(InspectModel(damaged.path()).status().message(), HasSubstr("\"llama\""));
}

}  // namespace
}  // namespace fastvlm
