// The exported model in the engine, as a user runs it, against the network that was trained.
#include "train/trainer/write_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/run_program.h"
#include "train/png_file.h"
#include "train/trainer/loss.h"
#include "train/trainer/test_run.h"
#include "train/trainer/trainer.h"

namespace fastvlm::train {
namespace {

// The values of a float32 .npy file.
std::vector<float> ReadNpy(const std::string& path) {
  const auto bytes = ReadBinaryFile(path, 1 << 24).value();
  const size_t header = 10 + bytes[8] + 256u * bytes[9];
  std::vector<float> values((bytes.size() - header) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(float));
  return values;
}

double LargestError(const Tensor& expected, const std::vector<float>& found) {
  const Tensor flat = expected.contiguous().view({-1});
  if (flat.numel() != static_cast<int64_t>(found.size())) return 1e9;
  const Tensor other = torch::from_blob(const_cast<float*>(found.data()), flat.sizes());
  return (flat - other).abs().max().item<double>() / flat.abs().max().item<double>();
}

class WriteModelTest : public ::testing::TestWithParam<bool> {
 protected:
  // A trained toy, its running moments far from those of a fresh network.
  void SetUp() override {
    const Recipe recipe = ReadRecipe(run_.recipe_path()).value();
    RunOptions options;
    options.directory = run_.Path("run");
    options.score_pictures = 1;
    trainer_ = Trainer::Create(recipe, art_, tokenizer_, options).value();
    const std::atomic<bool> stop{false};
    ASSERT_TRUE(trainer_
                    ->Run(
                        stop, [](const StepReport&) {}, [](const auto&) {})
                    .ok());
    SceneOptions scene_options;
    scene_options.height = scene_options.width = 64;
    scene_ = MakeScene(art_, scene_options, 3);
    picture_ = run_.Path("picture.png");
    ASSERT_TRUE(WritePng(picture_, scene_.rgb, 64, 64).ok());
  }

  std::vector<float> Encode(const std::vector<std::string>& extra) const {
    std::vector<std::string> arguments = {
        FASTVLM_PROGRAM,      "encode", "--model", run_.Path("model"), "--output",
        run_.Path("out.npy"), picture_};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    const ProgramResult result = RunProgram(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return ReadNpy(run_.Path("out.npy"));
  }

  // The ids a greedy decoder gives for a question, from the network itself.
  std::vector<int32_t> GreedyIds(const std::string& question, size_t most) const {
    const Vocabulary vocabulary = Vocabulary::Create(art_, tokenizer_).value();
    std::vector<int32_t> ids;
    const int32_t end = *tokenizer_.TokenId("<|im_end|>");
    while (ids.size() < most && (ids.empty() || ids.back() != end)) {
      ids.push_back(NextId(vocabulary, question, ids));
    }
    return ids;
  }

  const ToyRun run_{GetParam(), 20, 20};
  const Art art_ = Art::Open(run_.art_path()).value();
  const Tokenizer tokenizer_ = Tokenizer::Load(run_.tokenizer_path()).value();
  std::unique_ptr<Trainer> trainer_;
  Scene scene_;
  std::string picture_;

 private:
  int32_t NextId(const Vocabulary& vocabulary, const std::string& question,
                 const std::vector<int32_t>& so_far) const {
    const torch::NoGradGuard no_grad;
    const Network& network = trainer_->network();
    const SceneBatch batch = MakeSceneBatch(vocabulary, {&scene_, 1}, 32);
    ForwardContext context;
    const Tensor features = network.encoder->Forward(batch.images, context);
    const Tensor visual = network.Project(features.view({1, -1, features.size(3)}));
    const auto to_tensor = [](const std::vector<int32_t>& ids) {
      return torch::tensor(std::vector<int64_t>(ids.begin(), ids.end())).unsqueeze(0);
    };
    std::vector<int32_t> after = vocabulary.QuestionIds(question);
    after.insert(after.end(), so_far.begin(), so_far.end());
    const Tensor x = torch::cat({network.decoder->Embed(to_tensor(vocabulary.prefix())), visual,
                                 network.decoder->Embed(to_tensor(after))},
                                1);
    const Tensor positions = torch::arange(x.size(1)).unsqueeze(0);
    const Tensor segments = torch::zeros({1, x.size(1)}, torch::kInt32);
    const Tensor last = network.decoder->Forward(x, positions, segments).select(1, x.size(1) - 1);
    Tensor logits = network.decoder->Logits(last);
    logits.select(1, *tokenizer_.TokenId("<image>")).fill_(-1e30);  // never generated
    return logits.argmax(-1).item<int32_t>();
  }
};

TEST_P(WriteModelTest, EncodesAsTheNetworkDoes) {
  ASSERT_TRUE(WriteModel(trainer_->network(), tokenizer_, run_.tokenizer_path(),
                         ExportPrecision::kF32, run_.Path("model"))
                  .ok());
  const torch::NoGradGuard no_grad;
  const Network& network = trainer_->network();
  Tensor image = torch::empty({1, 64, 64, 3});
  for (int64_t i = 0; i < image.numel(); ++i) {
    image.data_ptr<float>()[i] = static_cast<float>(scene_.rgb[static_cast<size_t>(i)]) / 255.0f;
  }
  ForwardContext context;
  const Tensor features = network.encoder->Forward(image, context);
  EXPECT_LE(LargestError(features, Encode({"--features"})), 1e-4);
  EXPECT_LE(LargestError(network.Project(features), Encode({})), 1e-4);
}

TEST_P(WriteModelTest, AnswersAsTheNetworkDoes) {
  ASSERT_TRUE(WriteModel(trainer_->network(), tokenizer_, run_.tokenizer_path(),
                         ExportPrecision::kF32, run_.Path("model"))
                  .ok());
  for (const char* question : {"Describe the image.", "What is on the left?"}) {
    const ProgramResult result =
        RunProgram({FASTVLM_PROGRAM, "describe", "--model", run_.Path("model"), "--json",
                    "--max-tokens", "12", "--prompt", question, picture_});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto ids = nlohmann::json::parse(result.out)["token_ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(ids, GreedyIds(question, 12));
  }
}

TEST_P(WriteModelTest, HalvesAreCloseAndHalfTheSize) {
  for (const auto& [precision, name] :
       {std::pair(ExportPrecision::kF32, "wide"), std::pair(ExportPrecision::kF16, "model")}) {
    ASSERT_TRUE(WriteModel(trainer_->network(), tokenizer_, run_.tokenizer_path(), precision,
                           run_.Path(name))
                    .ok());
  }
  const auto size = [&](const char* name) {
    return std::filesystem::file_size(run_.Path(name) + "/model.safetensors");
  };
  EXPECT_LT(size("model"), 0.7 * static_cast<double>(size("wide")));
  const auto halves = Encode({});
  std::filesystem::remove_all(run_.Path("model"));
  std::filesystem::rename(run_.Path("wide"), run_.Path("model"));
  const auto whole = Encode({});
  ASSERT_EQ(halves.size(), whole.size());
  double error = 0, scale = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    error = std::max(error, std::abs(double{halves[i]} - whole[i]));
    scale = std::max(scale, std::abs(double{whole[i]}));
  }
  EXPECT_LE(error, 0.01 * scale);
}

INSTANTIATE_TEST_SUITE_P(PlainAndMultiBranch, WriteModelTest, ::testing::Bool());

}  // namespace
}  // namespace fastvlm::train
