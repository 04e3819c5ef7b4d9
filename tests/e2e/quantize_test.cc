#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "program.h"
#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kNano = std::string(FASTVLM_SOURCE_DIR) + "/models/nano";
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
