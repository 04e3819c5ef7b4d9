// The state of a training run that an earlier version wrote: tests/compatibility/README.md.
#include <gtest/gtest.h>

#include <map>
#include <span>
#include <string>

#include "base/blake2b.h"
#include "train/trainer/recipe.h"
#include "train/trainer/state.h"

namespace fastvlm::train {
namespace {

// Of the test's art and tokenizer, which the run used.
constexpr int64_t kVocabulary = 0, kConcepts = 0;

// The hash of all values, in the order of their tensors' names.
std::string HashOf(const Network& network, const std::vector<Parameter>& parameters) {
  std::map<std::string, Tensor> tensors;
  for (const Parameter& parameter : parameters) {
    tensors["value/" + parameter.name] = parameter.value;
    tensors["mean/" + parameter.name] = parameter.mean;
    tensors["variance/" + parameter.name] = parameter.variance;
  }
  for (const auto& buffer : network.named_buffers()) {
    tensors["buffer/" + buffer.key()] = buffer.value();
  }
  Blake2b hash;
  for (const auto& [name, tensor] : tensors) {
    hash.Add({static_cast<const uint8_t*>(tensor.data_ptr()),
              static_cast<size_t>(tensor.numel()) * sizeof(float)});
  }
  std::string hex;
  for (const uint8_t byte : hash.Finish()) hex += fmt::format("{:02x}", byte);
  return hex;
}

TEST(Compatibility, AStateOfAnEarlierVersionIsReadWhole) {
  const std::string files = FASTVLM_SOURCE_DIR "/tests/compatibility/trainer/";
  Recipe recipe = ReadRecipe(files + "recipe.json").value();
  recipe.network.vocabulary = kVocabulary;
  recipe.network.concepts = kConcepts;
  Network network(recipe.network);
  std::vector<Parameter> parameters = ParametersOf(network);
  Progress progress;
  const Status status =
      LoadState(files + "state.safetensors",
                recipe.fingerprint + fmt::format("{} {}", kVocabulary, kConcepts), &progress,
                &network, &parameters);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(progress.phase, 1);
  EXPECT_EQ(progress.step, 1);
  EXPECT_EQ(progress.total_steps, 3);
  EXPECT_EQ(progress.pictures, 12);
  EXPECT_EQ(HashOf(network, parameters), "");
}

}  // namespace
}  // namespace fastvlm::train
