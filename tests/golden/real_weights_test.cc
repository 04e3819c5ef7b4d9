// Published golden values on Apple's weights, which only a user can have (research licence):
//   FASTVLM_MODEL_DIR=.../FastVLM-0.5B FASTVLM_GOLDEN_IMAGE=.../000000039769.jpg golden_test
// The picture is image 39769 of COCO val2017, two cats on a pink couch, 640 x 480.
// Source of the values: the weight converter of transformers' fast_vlm, which ran in bf16 on a GPU
// with the picture cropped to its centre.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "checkpoint/checkpoint.h"
#include "fastvlm/fastvlm.h"
#include "image/preprocess.h"
#include "model/fastvlm.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

// The first three logits after "<image>\nWhat are these?", by the decoder's width.
struct PublishedLogits {
  int64_t hidden;
  std::vector<float> first;
};
const PublishedLogits kPublished[] = {{896, {4.1250f, 9.6875f, 11.1875f}},
                                      {1536, {3.3750f, 11.5000f, 11.8125f}},
                                      {3584, {3.8281f, 9.0625f, 7.9062f}}};

// The published numbers went through 24 to 28 layers in bf16, which keeps 8 bits.
constexpr float kLogitTolerance = 0.25f;

class RealWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* model = std::getenv("FASTVLM_MODEL_DIR");
    const char* image = std::getenv("FASTVLM_GOLDEN_IMAGE");
    if (model == nullptr || image == nullptr) {
      GTEST_SKIP() << "set FASTVLM_MODEL_DIR and FASTVLM_GOLDEN_IMAGE to run on published weights";
    }
    model_ = model;
    image_ = image;
  }

  std::string model_;
  std::string image_;
};

TEST_F(RealWeightsTest, FirstLogits) {
  const Checkpoint checkpoint = Checkpoint::Open(model_).value();
  const Tokenizer tokenizer = Tokenizer::Load(model_).value();
  const DecoderConfig& config = checkpoint.config().decoder;
  const auto published =
      std::find_if(std::begin(kPublished), std::end(kPublished),
                   [&](const PublishedLogits& p) { return p.hidden == config.hidden; });
  ASSERT_NE(published, std::end(kPublished)) << model_ << " is none of the published sizes";
  ThreadPool pool(PhysicalCoreCount());
  const FastVlm model(checkpoint, tokenizer.size(), Precision::kF32, pool);

  const PixelTensor pixels =
      Preprocess(Image::FromFile(image_).value(), 1024, 1024, Fit::kCrop).value();
  std::vector<float> features(256 * 3072);
  VisionWorkspace vision_workspace;
  model.encoder().Forward(pixels.values.data(), 1024, 1024, features.data(), vision_workspace,
                          pool);
  std::vector<float> visual(static_cast<size_t>(256 * config.hidden));
  model.projector().Forward(features.data(), 256, visual.data(), pool);

  const ChatTurn turn{ChatRole::kUser, "What are these?", 1};
  std::vector<float> x;
  for (int32_t id : TokenizePrompt(tokenizer, BuildPrompt({&turn, 1}).value())) {
    if (id == kImageTokenIndex) {
      x.insert(x.end(), visual.begin(), visual.end());
    } else {
      x.resize(x.size() + static_cast<size_t>(config.hidden));
      model.decoder().Embed(&id, 1, x.data() + x.size() - config.hidden);
    }
  }
  const int64_t tokens = static_cast<int64_t>(x.size()) / config.hidden;
  EXPECT_EQ(tokens, 280);
  KvCache cache(config, tokens);
  DecoderWorkspace workspace(model.decoder(), tokens, tokens, pool.threads());
  model.decoder().Forward(x.data(), tokens, cache, workspace, pool);
  std::vector<float> logits(static_cast<size_t>(model.decoder().vocabulary()));
  model.decoder().Logits(x.data() + (tokens - 1) * config.hidden, logits.data(), workspace, pool);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(logits[i], published->first[i], kLogitTolerance) << i;
}

TEST_F(RealWeightsTest, SeesTwoCats) {
  const auto model = Model::Load(model_).value();
  Session session = Session::Create(model).value();
  UserTurn turn;
  turn.text = "What is this?";
  turn.images.push_back(Image::FromFile(image_).value());
  turn.encode.fit = Fit::kCrop;
  GenerateOptions options;
  options.max_tokens = 40;
  EXPECT_THAT(session.Ask(turn, options).value().text, ::testing::HasSubstr("two cats"));
}

}  // namespace
}  // namespace fastvlm
