// Files that an earlier version wrote. README.md says how each was made; what that version made of
// them lies beside them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "fastvlm/fastvlm.h"
#include "hub/cache.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kFiles = FASTVLM_SOURCE_DIR "/tests/compatibility/";
const std::string kPicture = FASTVLM_SOURCE_DIR "/tests/golden/data/images/wide.png";

std::string ReadFile(const std::string& path) {
  const auto text = ReadTextFile(path, size_t{16} << 20);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : std::string();
}

// The values of a float32 .npy file.
std::vector<float> ReadNpy(const std::string& path) {
  const std::string bytes = ReadFile(path);
  const size_t header = 10 + static_cast<uint8_t>(bytes.at(8));
  std::vector<float> values((bytes.size() - header) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(float));
  return values;
}

class QuantizedFiles : public ::testing::TestWithParam<const char*> {
 protected:
  const std::string directory_ = kFiles + GetParam();
};

TEST_P(QuantizedFiles, GiveTheSameVisualTokensAndAnswer) {
  ModelOptions options;
  options.precision = Precision::kAsStored;
  options.threads = 1;
  const auto model = Model::Load(directory_, options);
  ASSERT_TRUE(model.ok()) << model.status().message();
  UserTurn turn;
  turn.text = "What is this?";
  turn.images.push_back(Image::FromFile(kPicture).value());

  // Sums of floats differ between instruction sets.
  const std::vector<float> recorded = ReadNpy(directory_ + "/visual_tokens.npy");
  const auto tokens = (*model)->EncodeVisualTokens(turn.images[0], turn.encode);
  ASSERT_TRUE(tokens.ok()) << tokens.status().message();
  ASSERT_EQ(tokens->values.size(), recorded.size());
  float largest = 0;
  for (const float value : recorded) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < recorded.size(); ++i) {
    ASSERT_NEAR(tokens->values[i], recorded[i], 1e-3f * largest) << i;
  }

  GenerateOptions generate;
  generate.max_tokens = 8;
  auto session = Session::Create(*model);
  const auto answer = session->Ask(turn, generate);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(json(answer->token_ids),
            json::parse(ReadFile(directory_ + "/answer.json"))["token_ids"]);
}

TEST_P(QuantizedFiles, SayTheSameOfThemselves) {
  const auto info = InspectModel(directory_);
  ASSERT_TRUE(info.ok()) << info.status().message();
  const json recorded = json::parse(ReadFile(directory_ + "/info.json"))["model"];
  EXPECT_EQ(info->layout, recorded["layout"].get<std::string>());
  EXPECT_EQ(info->dtype, recorded["dtype"].get<std::string>());
  EXPECT_EQ(info->vocabulary, recorded["vocabulary"]);
  EXPECT_EQ(info->image_size, recorded["image_size"]);
  EXPECT_EQ(info->context_tokens, recorded["context_tokens"]);
  ASSERT_EQ(info->calibration.has_value(), recorded.contains("calibration"));
  if (!info->calibration) return;
  const json& calibration = recorded["calibration"];
  EXPECT_EQ(info->calibration->target, calibration["target"]);
  EXPECT_EQ(info->calibration->cosine_quantized, calibration["cosine_quantized"]);
  EXPECT_EQ(info->calibration->cosine_mean, calibration["cosine_mean"]);
  EXPECT_EQ(info->calibration->cosine_worst, calibration["cosine_worst"]);
  EXPECT_EQ(info->calibration->pictures, calibration["pictures"]);
  ASSERT_EQ(info->calibration->kept.size(), calibration["kept"].size());
  EXPECT_FALSE(calibration["kept"].empty());
  for (size_t i = 0; i < calibration["kept"].size(); ++i) {
    EXPECT_EQ(info->calibration->kept[i].tensor,
              calibration["kept"][i]["tensor"].get<std::string>());
    EXPECT_EQ(info->calibration->kept[i].loss, calibration["kept"][i]["loss"]);
  }
}

// q8 was calibrated, so that it has a calibration record and matrices in BF16 too.
INSTANTIATE_TEST_SUITE_P(Types, QuantizedFiles, ::testing::Values("q8", "q4", "bf16"),
                         [](const auto& type) { return std::string(type.param); });

TEST(NewerFiles, AreNamedAsSuch) {
  const std::string model = ReadFile(kFiles + "q4/model.gguf");
  const std::string vision = ReadFile(kFiles + "q4/mmproj.gguf");
  const TemporaryDirectory directory;
  directory.Write("model.gguf", model);
  directory.Write("mmproj.gguf", vision);
  EXPECT_TRUE(InspectModel(directory.path()).ok());

  std::string newer = model;
  ASSERT_EQ(newer.substr(0, 5), "GGUF\x03");
  newer[4] = 4;
  directory.Write("model.gguf", newer);
  Status status = InspectModel(directory.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("GGUF version 4; versions 2 and 3 can be read"));
  directory.Write("model.gguf", model);

  // The key, the number of its type, its value.
  const std::string key = "fastvlm.version";
  newer = vision;
  const size_t at = newer.find(key);
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(newer[at + key.size() + 4], 1);
  newer[at + key.size() + 4] = 2;
  directory.Write("mmproj.gguf", newer);
  status = InspectModel(directory.path()).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("a newer fastvlm wrote this file: fastvlm.version is 2"));
}

TEST(FetchedModel, IsFoundAndItsRecordRead) {
  const TemporaryDirectory root;
  const ModelCache cache(root.path());
  const std::string directory = cache.ModelDirectory("owner/model");
  std::filesystem::create_directories(directory);
  std::filesystem::copy_file(kFiles + "fetched/record.json", directory + "/.fastvlm.json");
  for (const char* name : {"/model.gguf", "/mmproj.gguf"}) {
    std::filesystem::copy_file(kFiles + "q4" + name, directory + name);
  }
  const auto found = cache.Find("model");
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->directory, directory);
  EXPECT_EQ(found->manifest.source, "hf:owner/model@main");
  EXPECT_EQ(found->manifest.revision, "86afd94ee588a737b0f7968a5f746ff30808ba30");
  EXPECT_EQ(found->manifest.licence, "mit");
  EXPECT_EQ(found->manifest.pulled.size(), std::string("2026-01-31T12:00:00Z").size());
  ASSERT_EQ(found->manifest.files.size(), 2u);
  for (const CachedFile& file : found->manifest.files) {
    EXPECT_EQ(file.size,
              static_cast<int64_t>(std::filesystem::file_size(directory + "/" + file.name)));
    EXPECT_EQ(file.digest.kind, DigestKind::kSha256);
    EXPECT_EQ(FileDigest(directory + "/" + file.name, DigestKind::kSha256).value(),
              file.digest.hex);
  }
  EXPECT_TRUE(InspectModel(found->directory).ok());
}

}  // namespace
}  // namespace fastvlm
