#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "program.h"
#include "support/paths.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kFox = kNano + "/samples/fox.png";

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(QuantizeCommand, WritesAModelThatTheOtherCommandsTake) {
  const TemporaryDirectory directory;
  const std::string out = directory.path() + "/q4";
  const ProgramResult written = Fastvlm({"quantize", kNano, out, "--type", "q4"});
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr(out + "/model.gguf  "));
  EXPECT_THAT(written.out, HasSubstr(out + "/mmproj.gguf  "));
  EXPECT_THAT(written.err, HasSubstr(" from 12.6 MB"));
  EXPECT_THAT(Names(out), testing::ElementsAre("mmproj.gguf", "model.gguf"));

  const ProgramResult info = Fastvlm({"info", "--json", out});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  const json model = json::parse(info.out)["model"];
  EXPECT_EQ(model["layout"], "gguf");
  EXPECT_EQ(model["dtype"], "Q4_0");
  EXPECT_EQ(model["hidden"], 192);
  EXPECT_EQ(model["image_size"], 192);

  const auto ids = [](const std::string& from, const char* precision) {
    const ProgramResult answer =
        Fastvlm({"describe", "--json", "-q", "--model", from, "--precision", precision, kFox});
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    return answer.exit_code == 0 ? json::parse(answer.out)["token_ids"] : json();
  };
  EXPECT_EQ(ids(out, "auto"), ids(kNano, "q4"));
}

TEST(QuantizeCommand, RefusesToReplaceUnlessForced) {
  const TemporaryDirectory directory;
  directory.Write("mmproj.gguf", "mine");
  const ProgramResult refused = Fastvlm({"quantize", kNano, directory.path()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("mmproj.gguf: exists already"));
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(ReadAll(directory.Path("mmproj.gguf")), "mine");
  EXPECT_EQ(Fastvlm({"quantize", kNano, directory.path(), "--force"}).exit_code, 0);
  EXPECT_EQ(Fastvlm({"info", directory.path()}).exit_code, 0);
}

// What a killed run leaves behind is in nobody's way.
TEST(QuantizeCommand, ARerunReplacesWhatAKilledRunLeft) {
  const TemporaryDirectory directory;
  directory.Write("model.gguf.part", std::string(20'000'000, 'x'));
  EXPECT_EQ(Fastvlm({"info", directory.path()}).exit_code, 1);
  EXPECT_EQ(Fastvlm({"quantize", kNano, directory.path()}).exit_code, 0);
  EXPECT_THAT(Names(directory.path()), testing::ElementsAre("mmproj.gguf", "model.gguf"));
  EXPECT_EQ(Fastvlm({"info", directory.path()}).exit_code, 0);
}

std::vector<std::string> Calibrate(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"quantize",    kNano, out,
                                        "--calibrate", kFox,  kNano + "/samples/count.png"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

json ModelInfo(const std::string& directory) {
  const ProgramResult info = Fastvlm({"info", "--json", directory});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  return info.exit_code == 0 ? json::parse(info.out)["model"] : json();
}

TEST(QuantizeCommand, CalibratedAFileHasTheCosineThatWasPromised) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("q8");
  const ProgramResult written = Fastvlm(Calibrate(out, {"--target", "0.99999"}));
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("visual-token cosine  mean 0.99999"));
  EXPECT_THAT(written.out, HasSubstr("matrices for the target 0.99999"));

  const json calibration = ModelInfo(out)["calibration"];
  EXPECT_EQ(calibration["target"], 0.99999);
  EXPECT_EQ(calibration["pictures"], 2);
  EXPECT_LT(calibration["cosine_quantized"], 0.99999);
  EXPECT_GE(calibration["cosine_mean"], 0.99999);
  ASSERT_FALSE(calibration["kept"].empty());
  const ProgramResult text = Fastvlm({"info", out});
  EXPECT_THAT(text.out, HasSubstr("target 0.99999"));
  for (const json& kept : calibration["kept"]) {
    EXPECT_THAT(text.out, HasSubstr(kept["tensor"].get<std::string>()));
    EXPECT_THAT(written.out, HasSubstr(kept["tensor"].get<std::string>()));
  }
  const ProgramResult compared = Fastvlm({"compare", "--json", "--model", kNano, "--reference",
                                          "f32", "--candidate-model", out, "--candidate", "auto",
                                          "--max-tokens", "1", kFox, kNano + "/samples/count.png"});
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  const json loss = json::parse(compared.out);
  EXPECT_DOUBLE_EQ(loss["cosine_mean"], calibration["cosine_mean"]);
  EXPECT_DOUBLE_EQ(loss["cosine_worst"], calibration["cosine_worst"]);
  EXPECT_EQ(Fastvlm({"describe", "-q", "--model", out, kFox}).exit_code, 0);
}

TEST(QuantizeCommand, CalibratedForLittleItKeepsNothing) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("q4");
  const ProgramResult written = Fastvlm(Calibrate(out, {"--target", "0.9", "--type", "q4"}));
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("nothing: q8 reaches the target 0.9"));
  EXPECT_THAT(Fastvlm({"info", out}).out, HasSubstr("kept in bf16: nothing"));
  EXPECT_TRUE(ModelInfo(out)["calibration"]["kept"].empty());
  EXPECT_FALSE(ModelInfo(kNano).contains("calibration"));
}

TEST(QuantizeCommand, CalibrationMistakes) {
  const TemporaryDirectory directory;
  const std::string out = directory.Path("out");
  const ProgramResult alone = Fastvlm({"quantize", kNano, out, "--target", "0.99"});
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.err, HasSubstr("--calibrate"));
  for (const char* target : {"0", "1.5", "-1", "nan", "much"}) {
    const ProgramResult result = Fastvlm(Calibrate(out, {"--target", target}));
    EXPECT_EQ(result.exit_code, 2) << target;
    EXPECT_THAT(result.err, HasSubstr("--target")) << target;
  }
  EXPECT_EQ(Fastvlm({"quantize", kNano, out, "--calibrate"}).exit_code, 2);
  EXPECT_EQ(Fastvlm(Calibrate(out, {"--encoder", "bf16"})).exit_code, 2);
  EXPECT_EQ(Fastvlm(Calibrate(out, {"--type", "f16"})).exit_code, 2);
  const ProgramResult beyond = Fastvlm(Calibrate(out, {"--target", "1"}));  // nano is in F16
  EXPECT_EQ(beyond.exit_code, 1);
  EXPECT_THAT(beyond.err, HasSubstr("the target 1 cannot be reached"));
  directory.Write("broken.png", "no picture");
  const ProgramResult broken = Fastvlm(Calibrate(out, {directory.Path("broken.png")}));
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err, HasSubstr("broken.png"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

// A limit on the size of files stands for a full disk, which a test cannot make.
TEST(QuantizeCommand, AFullDiskIsAnErrorAndLeavesNothing) {
  const TemporaryDirectory directory;
  const ProgramResult result =
      RunProgram({"/bin/sh", "-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\"",
                  FASTVLM_PROGRAM, "quantize", kNano, directory.path()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot write"));
  EXPECT_THAT(result.err, HasSubstr("MB: File too large"));
  EXPECT_THAT(Names(directory.path()), testing::IsEmpty());
}

TEST(QuantizeCommand, WrongUsage) {
  const TemporaryDirectory directory;
  EXPECT_EQ(Fastvlm({"quantize", kNano}).exit_code, 2);
  const ProgramResult type = Fastvlm({"quantize", kNano, directory.path(), "--type", "q5"});
  EXPECT_EQ(type.exit_code, 2);
  EXPECT_THAT(type.err, HasSubstr("q5"));
  EXPECT_EQ(Fastvlm({"quantize", kNano, directory.path(), "--encoder", "q4"}).exit_code, 2);
  EXPECT_EQ(Fastvlm({"quantize", directory.path() + "/none", directory.path()}).exit_code, 1);
  EXPECT_EQ(Fastvlm({"quantize", kNano, "/proc/fastvlm"}).exit_code, 1);
}

}  // namespace
}  // namespace fastvlm
