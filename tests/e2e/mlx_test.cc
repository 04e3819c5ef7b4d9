// The same random model in Apple's layout and in those of MLX: the program gives the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/tiny_mlx_checkpoint.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class MlxTest : public ::testing::Test {
 protected:
  MlxTest() {
    model_.vocab = 416;
    model_.tied = false;
    model_.dtype = "F32";
    apple_.Write("config.json", AppleConfig(model_));
    apple_.Write("model.safetensors", EncodeSafetensors(RoundedAppleTensors(model_, kBits)));
    WriteMlxCheckpoint(mlx_, model_, {.bits = kBits, .group = 32});
    WriteMlxCheckpoint(export_, model_, {.vision = false, .bits = kBits, .group = 64});
    for (const TemporaryDirectory* directory : {&apple_, &mlx_, &export_}) {
      for (const char* name : {"vocab.json", "merges.txt", "added_tokens.json",
                               "tokenizer_config.json", "special_tokens_map.json"}) {
        std::filesystem::copy(kTinyModel + "/" + name, directory->Path(name));
      }
    }
  }

  std::string Describe(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), "describe");
    flags.insert(flags.end(), {"--max-tokens", "8", kImage, kOtherImage});
    const ProgramResult result = Fastvlm(flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  std::string Tokens(std::vector<std::string> flags) const {
    const ScratchDirectory scratch;
    flags.insert(flags.begin(), "encode");
    flags.insert(flags.end(), {kImage, "--output", scratch / "tokens.npy"});
    const ProgramResult result = Fastvlm(flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return ReadAll(scratch / "tokens.npy");
  }

  static constexpr int kBits = 4;
  TinyModel model_ = MlxTinyModel();
  TemporaryDirectory apple_, mlx_, export_;
};

TEST_F(MlxTest, EveryLayoutGivesTheSameBytes) {
  for (const char* precision : {"f32", "q8"}) {
    const std::vector<std::string> apple = {"--precision", precision, "--model", apple_.path()};
    const std::vector<std::string> mlx = {"--precision", precision, "--model", mlx_.path()};
    const std::vector<std::string> exported = {"--precision",  precision,  "--model",
                                               export_.path(), "--vision", apple_.path()};
    const std::string tokens = Tokens(apple);
    EXPECT_EQ(tokens.size(), 128u + 16 * 64 * 4);
    EXPECT_TRUE(Tokens(mlx) == tokens) << precision;
    EXPECT_TRUE(Tokens(exported) == tokens) << precision;
    const std::string text = Describe(apple);
    EXPECT_GT(text.size(), 16u);
    EXPECT_EQ(Describe(mlx), text) << precision;
    EXPECT_EQ(Describe(exported), text) << precision;
  }
}

TEST_F(MlxTest, InfoShowsTheKindOfWeights) {
  const ProgramResult result =
      Fastvlm({"info", "--json", "--model", export_.path(), "--vision", apple_.path()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json model = Json::parse(result.out)["model"];
  EXPECT_EQ(model["layout"], "mlx_export");
  EXPECT_EQ(model["dtype"], "4-bit MLX (groups of 64)");
}

TEST_F(MlxTest, LoadingSaysWhatItLoses) {
  const auto warnings = [](const std::string& precision, const std::string& model) {
    return Fastvlm({"describe", "--precision", precision, "--max-tokens", "1", "--model", model,
                    kImage})
        .err;
  };
  EXPECT_THAT(warnings("q8", mlx_.path()),
              AllOf(HasSubstr("4-bit MLX (groups of 32) weights are rounded once more, to Q8_0"),
                    HasSubstr("--precision f32")));
  EXPECT_THAT(warnings("bf16", mlx_.path()), HasSubstr("to BF16"));
  EXPECT_THAT(warnings("f32", mlx_.path()), Not(HasSubstr("rounded")));
  EXPECT_THAT(warnings("q8", apple_.path()), Not(HasSubstr("rounded")));
}

TEST_F(MlxTest, AnExportAloneSaysWhatIsMissing) {
  const ProgramResult result = Fastvlm({"describe", "--model", export_.path(), kImage});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, AllOf(HasSubstr("fastvithd.mlpackage"), HasSubstr("--vision DIR")));
  const ProgramResult own =
      Fastvlm({"describe", "--model", apple_.path(), "--vision", mlx_.path(), kImage});
  EXPECT_EQ(own.exit_code, 2);
}

}  // namespace
}  // namespace fastvlm
