// The model against golden files of implementations nobody here wrote; docs/GOLDENS.md says how
// they were made and what each holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "fastvlm/fastvlm.h"
#include "image/preprocess.h"
#include "model/fastvlm.h"
#include "support/paths.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

using Json = nlohmann::json;

// Largest difference allowed, relative to the largest value of the tensor: ten times the rounding
// noise of the reference itself, 5e-6 at most (docs/GOLDENS.md).
constexpr double kTolerance = 5e-5;

const Json& Cases() {
  static const Json json = Json::parse(std::ifstream(kGoldenData + "cases.json"))["cases"];
  return json;
}

struct Parameter {
  std::string name;  // of the case
  std::string checkpoint;
};

std::vector<Parameter> Parameters() {
  std::vector<Parameter> parameters;
  for (const auto& [name, golden] : Cases().items()) {
    for (const Json& checkpoint : golden["checkpoints"])
      parameters.push_back({name, checkpoint.get<std::string>()});
  }
  return parameters;
}

// A tensor of which every stride-th value was kept, in row-major order.
struct GoldenTensor {
  int64_t stride;
  std::vector<int64_t> shape;
  std::vector<float> sample;
  double scale;  // largest magnitude of the whole tensor
};

class GoldenFile {
 public:
  explicit GoldenFile(const std::string& path) : file_(MappedFile::Open(path).value()) {
    const std::vector<StoredTensor> stored = ParseSafetensors(file_.bytes(), path).value();
    for (const StoredTensor& entry : stored) tensors_.emplace(entry.tensor.name, entry.tensor);
  }

  bool Has(const std::string& name) const { return tensors_.contains(name + ".sample"); }

  GoldenTensor Get(const std::string& name) const {
    GoldenTensor golden;
    const Tensor& meta = tensors_.at(name + ".meta");
    std::vector<int64_t> values(static_cast<size_t>(meta.elements()));
    std::memcpy(values.data(), meta.data, values.size() * sizeof(int64_t));
    golden.stride = values[0];
    golden.shape.assign(values.begin() + 1, values.end());
    golden.sample = tensors_.at(name + ".sample").ToF32();
    golden.scale = double{tensors_.at(name + ".scale").ToF32()[0]};
    return golden;
  }

 private:
  MappedFile file_;
  std::map<std::string, Tensor> tensors_;
};

void ExpectEqual(const GoldenTensor& golden, const std::string& name, const float* actual,
                 const std::vector<int64_t>& shape, double tolerance) {
  ASSERT_EQ(golden.shape, shape) << name;
  double worst = 0;
  for (size_t i = 0; i < golden.sample.size(); ++i) {
    const double difference = std::abs(double{actual[static_cast<int64_t>(i) * golden.stride]} -
                                       double{golden.sample[i]});
    worst = std::max(worst, std::isnan(difference) ? 1e30 : difference);
  }
  EXPECT_LE(worst, tolerance * golden.scale) << name;
  ::testing::Test::RecordProperty(name, std::to_string(worst / golden.scale));
}

class GoldenTest : public ::testing::TestWithParam<Parameter> {
 protected:
  GoldenTest()
      : golden_(Cases()[GetParam().name]),
        file_(kGoldenData + GetParam().name + ".safetensors"),
        directory_(kGoldenData + GetParam().checkpoint) {}

  Fit FitOf() const {
    const std::string mode = golden_["mode"];
    return mode == "pad" ? Fit::kPad : mode == "crop" ? Fit::kCrop : Fit::kStretch;
  }

  std::vector<Image> Images() const {
    std::vector<Image> images;
    for (const Json& name : golden_["images"]) {
      images.push_back(Image::FromFile(kGoldenData + "images/" + name.get<std::string>()).value());
    }
    return images;
  }

  std::string ImagePrefix(size_t i) const {
    return golden_["images"].size() > 1 ? "image." + std::to_string(i) + "." : "";
  }

  // The prompt's ids as the reference made them; -200 for each image.
  std::vector<int32_t> PromptIds() const { return golden_["ids"].get<std::vector<int32_t>>(); }

  void Compare(const std::string& name, const float* actual, std::vector<int64_t> shape,
               double tolerance = kTolerance) const {
    ExpectEqual(file_.Get(name), name, actual, shape, tolerance);
  }

  const Json& golden_;
  GoldenFile file_;
  std::string directory_;
};

TEST_P(GoldenTest, PromptIds) {
  const Tokenizer tokenizer = Tokenizer::Load(directory_).value();
  const ChatTurn turn{ChatRole::kUser, golden_["prompt"],
                      static_cast<int>(golden_["images"].size())};
  const std::string text = BuildPrompt({&turn, 1}).value();
  EXPECT_EQ(text, golden_["prompt_text"].get<std::string>());
  EXPECT_EQ(TokenizePrompt(tokenizer, text), PromptIds());
}

TEST_P(GoldenTest, EveryStage) {
  const Checkpoint checkpoint = Checkpoint::Open(directory_).value();
  const Tokenizer tokenizer = Tokenizer::Load(directory_).value();
  ThreadPool pool(2);
  const FastVlm model(checkpoint, tokenizer.size(), Precision::kF32, pool);
  const int64_t hidden = model.decoder().config().hidden;
  const int height = golden_["height"];
  const int width = golden_["width"];
  VisionWorkspace vision_workspace;

  std::vector<float> visual;
  const std::vector<Image> images = Images();
  for (size_t i = 0; i < images.size(); ++i) {
    const std::string prefix = ImagePrefix(i);
    const PixelTensor pixels = Preprocess(images[i], height, width, FitOf()).value();
    Compare(prefix + "pixels", pixels.values.data(), {height, width, 3}, 0);
    const int64_t tokens = model.TokenCount(height, width);
    std::vector<float> features(static_cast<size_t>(tokens * model.encoder().feature_channels()));
    int stages = 0;
    model.encoder().Forward(
        pixels.values.data(), height, width, features.data(), vision_workspace, pool, {},
        [&](std::string_view name, const float* values, std::initializer_list<int64_t> shape) {
          Compare(prefix + std::string(name), values, shape);
          ++stages;
        });
    EXPECT_EQ(stages, 7) << "stem, five stages and features";
    std::vector<float> embeddings(static_cast<size_t>(tokens * hidden));
    model.projector().Forward(features.data(), tokens, embeddings.data(), pool);
    Compare(prefix + "visual_tokens", embeddings.data(), {tokens, hidden});
    visual.insert(visual.end(), embeddings.begin(), embeddings.end());
  }

  std::vector<float> x;
  size_t used = 0;
  const size_t image_floats = images.empty() ? 0 : visual.size() / images.size();
  for (int32_t id : PromptIds()) {
    if (id == kImageTokenIndex) {
      x.insert(x.end(), visual.begin() + static_cast<ptrdiff_t>(used),
               visual.begin() + static_cast<ptrdiff_t>(used + image_floats));
      used += image_floats;
    } else {
      x.resize(x.size() + static_cast<size_t>(hidden));
      model.decoder().Embed(&id, 1, x.data() + x.size() - hidden);
    }
  }
  const int64_t tokens = static_cast<int64_t>(x.size()) / hidden;
  Compare("embeddings", x.data(), {tokens, hidden});

  const DecoderConfig& config = model.decoder().config();
  KvCache cache(config, tokens);
  DecoderWorkspace workspace(model.decoder(), tokens, tokens, pool.threads());
  int64_t layers = 0;
  model.decoder().Forward(
      x.data(), tokens, cache, workspace, pool,
      [&](std::string_view name, const float* values, std::initializer_list<int64_t> shape) {
        Compare(std::string(name), values, shape);
        ++layers;
      });
  EXPECT_EQ(layers, config.layers);

  const int64_t rows = golden_["tokenizer_size"];
  std::vector<float> norms;
  std::vector<float> logits;
  std::vector<float> row(static_cast<size_t>(model.decoder().vocabulary()));
  for (int64_t t = 0; t < tokens; ++t) {
    model.decoder().Logits(
        x.data() + t * hidden, row.data(), workspace, pool,
        [&](std::string_view, const float* values, std::initializer_list<int64_t>) {
          norms.insert(norms.end(), values, values + hidden);
        });
    logits.insert(logits.end(), row.begin(), row.begin() + rows);
  }
  Compare("final_norm", norms.data(), {tokens, hidden});
  Compare("logits", logits.data(), {tokens, rows});
}

TEST_P(GoldenTest, GreedyAnswer) {
  for (int threads : {1, 3}) {
    ModelOptions model_options;
    model_options.threads = threads;
    const auto model = Model::Load(directory_, model_options).value();
    Session session = Session::Create(model).value();
    UserTurn turn;
    turn.text = golden_["prompt"];
    turn.images = Images();
    turn.encode.fit = FitOf();
    turn.encode.height = golden_["height"];
    turn.encode.width = golden_["width"];
    GenerateOptions options;
    options.max_tokens = golden_["max_new_tokens"];
    const Answer answer = session.Ask(turn, options).value();

    const bool stopped = golden_["finish_reason"] == "stop";
    EXPECT_EQ(answer.token_ids, golden_["greedy_ids"].get<std::vector<int32_t>>());
    EXPECT_EQ(answer.finish_reason, stopped ? FinishReason::kStop : FinishReason::kLength);
    int64_t image_tokens = 0;
    for (const Json& count : golden_["image_tokens"]) image_tokens += count.get<int64_t>();
    EXPECT_EQ(answer.image_tokens, image_tokens);
    EXPECT_EQ(answer.prompt_tokens,
              static_cast<int64_t>(PromptIds().size() - golden_["images"].size()) + image_tokens);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, ::testing::ValuesIn(Parameters()),
                         [](const auto& test) {
                           return test.param.name + "_from_" + test.param.checkpoint;
                         });

}  // namespace
}  // namespace fastvlm
