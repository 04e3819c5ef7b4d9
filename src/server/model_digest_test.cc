#include "server/model_digest.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace fastvlm {
namespace {

namespace fs = std::filesystem;

class ModelDigest : public ::testing::Test {
 protected:
  ModelDigest() {
    fs::create_directories(directory_);
    Write("config.json", "{}");
    Write("model.safetensors", std::string(3 << 20, 'a'));
  }
  ~ModelDigest() override { fs::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::string Hex() const { return IdentifyModel(directory_.string()).digest; }

  const fs::path directory_ =
      fs::temp_directory_path() / ("fastvlm_digest_" + std::to_string(getpid()));
};

TEST_F(ModelDigest, IsThatOfTheContentsAndNotOfThePlaceOrTime) {
  const std::string before = Hex();
  EXPECT_EQ(before.size(), 64u);
  EXPECT_EQ(before.find_first_not_of("0123456789abcdef"), std::string::npos);
  Write("notes.txt", "not a part of the model");
  fs::last_write_time(directory_ / "config.json", fs::file_time_type::clock::now());
  const fs::path copy = directory_.string() + "_copy";
  fs::copy(directory_, copy);
  EXPECT_EQ(Hex(), before);
  EXPECT_EQ(IdentifyModel(copy.string()).digest, before);
  fs::remove_all(copy);
}

TEST_F(ModelDigest, ChangesWithTheWeights) {
  const std::string before = Hex();
  std::string weights(3 << 20, 'a');
  weights.back() = 'b';
  Write("model.safetensors", weights);
  const std::string last = Hex();
  EXPECT_NE(last, before);
  weights += 'c';
  Write("model.safetensors", weights);
  EXPECT_NE(Hex(), last);
  Write("model.safetensors", std::string(3 << 20, 'a'));
  EXPECT_EQ(Hex(), before);
  Write("config.json", "{ }");
  EXPECT_NE(Hex(), before);
}

TEST_F(ModelDigest, AlsoOfASingleFile) {
  const std::string file = (directory_ / "model.safetensors").string();
  EXPECT_NE(IdentifyModel(file).digest, Hex());
  EXPECT_GT(IdentifyModel(file).modified, 0);
  EXPECT_EQ(IdentifyModel(file + ".absent").digest.size(), 64u);
}

}  // namespace
}  // namespace fastvlm
