// An exported model as the beginning of another run.
#include "train/trainer/read_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "train/nn/fused_tensors.h"
#include "train/trainer/loss.h"
#include "train/trainer/test_run.h"
#include "train/trainer/trainer.h"
#include "train/trainer/write_model.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

class ReadModelTest : public ::testing::TestWithParam<bool> {
 protected:
  // A toy, trained with or without branches, and exported.
  void SetUp() override {
    const Recipe recipe = ReadRecipe(run_.recipe_path()).value();
    RunOptions options;
    options.directory = run_.Path("run");
    options.score_pictures = 1;
    options.score_every = 0;
    trained_ = Trainer::Create(recipe, art_, tokenizer_, options).value();
    const std::atomic<bool> stop{false};
    ASSERT_TRUE(trained_
                    ->Run(
                        stop, [](const StepReport&) {}, [](const auto&) {})
                    .ok());
    ASSERT_TRUE(WriteModel(trained_->network(), tokenizer_, run_.tokenizer_path(),
                           ExportPrecision::kF32, model_)
                    .ok());
    run_.directory().Write("plain.json", ToyRecipe(false, 4, 4));
  }

  Result<std::unique_ptr<Trainer>> Start(const std::string& name,
                                         const std::string& recipe = "plain.json") const {
    RunOptions options;
    options.directory = run_.Path(name);
    options.from = model_;
    options.score_pictures = 1;
    const Result<Recipe> read = ReadRecipe(run_.Path(recipe));
    EXPECT_TRUE(read.ok());
    return Trainer::Create(*read, art_, tokenizer_, options);
  }

  void ExpectError(const std::string& text) const {
    const auto trainer = Start("failed");
    ASSERT_FALSE(trainer.ok());
    EXPECT_EQ(trainer.status().code(), StatusCode::kDataError) << trainer.status().message();
    EXPECT_THAT(trainer.status().message(), HasSubstr(text));
  }

  const ToyRun run_{GetParam(), 20, 20};
  const Art art_ = Art::Open(run_.art_path()).value();
  const Tokenizer tokenizer_ = Tokenizer::Load(run_.tokenizer_path()).value();
  const std::string model_ = run_.Path("model");
  std::unique_ptr<Trainer> trained_;
};

double LargestDifference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>() / a.abs().max().item<double>();
}

// Features of noise, and the logits of some tokens behind them.
std::pair<Tensor, Tensor> Compute(const Network& network) {
  const torch::NoGradGuard no_grad;
  const auto ramp = [](int64_t count) { return torch::arange(count).to(torch::kFloat); };
  const Tensor image = (ramp(64 * 96 * 3) * 0.37).sin().abs().view({1, 64, 96, 3});
  ForwardContext context;
  const Tensor features = network.encoder->Forward(image, context);
  const Tensor visual = network.Project(features.view({1, -1, features.size(3)}));
  const Tensor x = torch::cat({visual, network.decoder->Embed(torch::arange(8).unsqueeze(0))}, 1);
  const Tensor positions = torch::arange(x.size(1)).unsqueeze(0);
  const Tensor segments = torch::zeros({1, x.size(1)}, torch::kInt32);
  return {features, network.decoder->Logits(network.decoder->Forward(x, positions, segments))};
}

TEST_P(ReadModelTest, BeginsWhereTheModelIs) {
  const auto started = Start("again");
  ASSERT_TRUE(started.ok()) << started.status().message();
  const auto [features, logits] = Compute(trained_->network());
  const auto [same_features, same_logits] = Compute((*started)->network());
  EXPECT_LE(LargestDifference(features, same_features), 1e-4);
  EXPECT_LE(LargestDifference(logits, same_logits), 1e-4);
  EXPECT_EQ((*started)->progress().total_steps, 0);
}

TEST_P(ReadModelTest, ExportedWithoutAStepItIsTheSameModel) {
  const auto started = Start("again");
  ASSERT_TRUE(started.ok()) << started.status().message();
  const auto before = FusedTensors(trained_->network());
  const auto after = FusedTensors((*started)->network());
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].first, after[i].first);
    // A normalisation that is left may do the same with other numbers.
    if (before[i].first.find(".bn.") != std::string::npos) continue;
    EXPECT_LE(LargestDifference(before[i].second, after[i].second), 1e-4) << before[i].first;
  }
}

// Training normalises by the moments of a batch: with the right running ones it begins near what
// inference computes, and goes on from there.
TEST_P(ReadModelTest, TrainsOnFromThere) {
  const auto started = Start("again");
  ASSERT_TRUE(started.ok()) << started.status().message();
  const Network& network = (*started)->network();
  const torch::NoGradGuard no_grad;
  SceneOptions options;
  options.height = options.width = 64;
  std::vector<Scene> scenes;
  for (uint64_t seed = 0; seed < 16; ++seed) scenes.push_back(MakeScene(art_, options, seed));
  const Vocabulary vocabulary = Vocabulary::Create(art_, tokenizer_).value();
  const SceneBatch batch = MakeSceneBatch(vocabulary, scenes, 32);
  ForwardContext as_used, as_trained;
  as_trained.training = true;
  const double used = SceneLosses(network, vocabulary, batch, false, as_used).answer.item<double>();
  const double trained =
      SceneLosses(network, vocabulary, batch, false, as_trained).answer.item<double>();
  EXPECT_NEAR(trained, used, 0.1 * used);
}

TEST_P(ReadModelTest, ARunThatWasStoppedGoesOnInsteadOfBeginningAgain) {
  {
    const auto started = Start("again");
    ASSERT_TRUE(started.ok());
    const std::atomic<bool> stop{false};
    ASSERT_TRUE((*started)
                    ->Run(
                        stop, [](const StepReport&) {}, [](const auto&) {})
                    .ok());
  }
  const auto resumed = Start("again");
  ASSERT_TRUE(resumed.ok()) << resumed.status().message();
  EXPECT_TRUE((*resumed)->done());
}

TEST_P(ReadModelTest, AnotherShapeIsAnError) {
  std::string recipe = ToyRecipe(false, 4, 4);
  const size_t at = recipe.find("\"intermediate\": 64");
  recipe.replace(at, 18, "\"intermediate\": 48");
  run_.directory().Write("plain.json", recipe);
  ExpectError("mlp.gate_proj.weight is [64, 32], the recipe's network has [48, 32]");
  recipe = ToyRecipe(false, 4, 4);
  recipe.replace(recipe.find("\"layers\": 2"), 11, "\"layers\": 1");
  run_.directory().Write("plain.json", recipe);
  ExpectError("layers.1.");
  recipe = ToyRecipe(false, 4, 4);
  recipe.replace(recipe.find("\"heads\": 2"), 10, "\"heads\": 4");
  run_.directory().Write("plain.json", recipe);
  ExpectError("num_attention_heads is 2, the recipe's network has 4");
}

TEST_P(ReadModelTest, BranchesCannotBeMadeAgain) {
  run_.directory().Write("branched.json", ToyRecipe(true, 4, 4));
  const auto trainer = Start("failed", "branched.json");
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.status().code(), StatusCode::kUnsupported);
  EXPECT_THAT(trainer.status().message(), HasSubstr("multi_branch"));
}

TEST_P(ReadModelTest, AnotherVocabularyIsAnError) {
  WordCounts words;
  words.AddLine("You are a helpful assistant. system user assistant other words here");
  ASSERT_TRUE(WriteTokenizer(TrainBpe(words, {}), run_.Path("other")).ok());
  for (const auto& file : std::filesystem::directory_iterator(run_.Path("other"))) {
    std::filesystem::copy_file(file.path(), model_ + "/" + file.path().filename().string(),
                               std::filesystem::copy_options::overwrite_existing);
  }
  ExpectError("as --tokenizer");
}

TEST_P(ReadModelTest, ADamagedFileIsAnError) {
  const std::string path = model_ + "/model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  ExpectError("model.safetensors");
}

TEST_P(ReadModelTest, ValuesThatAreNotNumbersAreAnError) {
  const std::string path = model_ + "/model.safetensors";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  uint64_t header = 0;
  file.read(reinterpret_cast<char*>(&header), sizeof(header));
  file.seekp(static_cast<std::streamoff>(sizeof(header) + header));  // the first value of all
  const uint32_t nan = 0x7fc00000;
  file.write(reinterpret_cast<const char*>(&nan), sizeof(nan));
  file.close();
  ExpectError("not finite");
}

TEST_P(ReadModelTest, ADirectoryWithoutAModelIsAnError) {
  std::filesystem::remove(model_ + "/model.safetensors");
  const auto trainer = Start("failed");
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.status().code(), StatusCode::kNotFound) << trainer.status().message();
}

INSTANTIATE_TEST_SUITE_P(FromPlainAndMultiBranch, ReadModelTest, ::testing::Bool());

}  // namespace
}  // namespace fastvlm::train
