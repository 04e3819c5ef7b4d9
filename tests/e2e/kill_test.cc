// `pull` and `quantize` are killed at each of their renames. What was there before, or what was to
// come, is there afterwards, whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/hub_server.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kKilled = 128 + SIGKILL;
constexpr int kMostRenames = 60;

// The program, killed just before its `number`-th rename.
ProgramResult RunAndKill(int number, const std::vector<std::string>& arguments,
                         std::vector<std::string> environment) {
  environment.push_back("LD_PRELOAD=" FASTVLM_KILL_AT_RENAME);
  environment.push_back("KILL_AT_RENAME=" + std::to_string(number));
  // The library is no part of the program that a sanitizer was linked into.
  environment.push_back("ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0");
  return Fastvlm(arguments, "", environment);
}

class PullKilled : public ::testing::TestWithParam<bool> {
 protected:
  PullKilled() {
    for (const auto& entry : std::filesystem::directory_iterator(kTinyModel)) {
      const std::string name = entry.path().filename().string();
      server_.Add(name, ReadAll(entry.path().string()), name == "model.safetensors");
    }
    server_.Add("LICENSE", "first");
  }

  // A cache of its own for each run.
  std::vector<std::string> Environment(const ScratchDirectory& cache) const {
    std::vector<std::string> environment = {"HF_ENDPOINT=" + server_.endpoint(),
                                            "XDG_CACHE_HOME=" + (cache / "")};
    if (GetParam()) environment.push_back("NO_EXCHANGE=1");
    return environment;
  }

  HubServer server_;
};

TEST_P(PullKilled, ANewVersionOrTheOldOneIsThere) {
  int kills = 0;
  for (int number = 1; number <= kMostRenames; ++number) {
    SCOPED_TRACE(number);
    const ScratchDirectory cache;
    const auto environment = Environment(cache);
    const std::string licence = cache / "fastvlm/models/owner/model/LICENSE";
    server_.commit = std::string(40, 'a');
    server_.Add("LICENSE", "first");
    ASSERT_EQ(Fastvlm({"pull", "-q", "owner/model"}, "", environment).exit_code, 0);
    server_.commit = std::string(40, 'b');
    server_.Add("LICENSE", "second");
    const ProgramResult killed = RunAndKill(number, {"pull", "-q", "owner/model"}, environment);
    ASSERT_THAT(killed.exit_code, ::testing::AnyOf(0, kKilled)) << killed.err;
    const ProgramResult info = Fastvlm({"info", "owner/model"}, "", environment);
    EXPECT_EQ(info.exit_code, 0) << info.err;
    EXPECT_THAT(ReadAll(licence), ::testing::AnyOf("first", "second"));
    EXPECT_EQ(ReadAll(cache / "fastvlm/models/owner/model/model.safetensors"),
              server_.Contents("model.safetensors"));
    // The next one ends with the new version and leaves nothing else behind.
    ASSERT_EQ(Fastvlm({"pull", "-q", "owner/model"}, "", environment).exit_code, 0);
    EXPECT_EQ(ReadAll(licence), "second");
    EXPECT_FALSE(std::filesystem::exists(cache / "fastvlm/partial/owner"));
    EXPECT_TRUE(std::filesystem::is_empty(cache / "fastvlm/old"));
    const ProgramResult list = Fastvlm({"models", "--json"}, "", environment);
    int fetched = 0;
    for (const Json& model : Json::parse(list.out)) {
      EXPECT_NE(model["state"].get<std::string>(), "incomplete");
      fetched += model["state"].get<std::string>() == "fetched" ? 1 : 0;
    }
    EXPECT_EQ(fetched, 1);
    if (killed.exit_code == 0) break;
    ++kills;
  }
  EXPECT_GE(kills, 4);
  EXPECT_LT(kills, kMostRenames);
}

TEST_P(PullKilled, TheFirstVersionIsThereOrNothingIs) {
  int kills = 0;
  for (int number = 1; number <= kMostRenames; ++number) {
    SCOPED_TRACE(number);
    const ScratchDirectory cache;
    const auto environment = Environment(cache);
    const ProgramResult killed = RunAndKill(number, {"pull", "-q", "owner/model"}, environment);
    ASSERT_THAT(killed.exit_code, ::testing::AnyOf(0, kKilled)) << killed.err;
    if (killed.exit_code == 0) break;
    ++kills;
    EXPECT_FALSE(std::filesystem::exists(cache / "fastvlm/models/owner/model"));
    ASSERT_EQ(Fastvlm({"pull", "-q", "owner/model"}, "", environment).exit_code, 0);
    EXPECT_EQ(Fastvlm({"info", "owner/model"}, "", environment).exit_code, 0);
    EXPECT_FALSE(std::filesystem::exists(cache / "fastvlm/partial/owner"));
  }
  EXPECT_GE(kills, 4);
  EXPECT_LT(kills, kMostRenames);
}

INSTANTIATE_TEST_SUITE_P(Directories, PullKilled, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "MovedAside" : "Exchanged"; });

std::vector<std::string> FilesOf(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string DtypeOf(const std::string& directory) {
  const ProgramResult info = Fastvlm({"info", "--json", directory});
  EXPECT_EQ(info.exit_code, 0) << info.err;
  return info.exit_code == 0 ? Json::parse(info.out)["model"]["dtype"].get<std::string>() : "";
}

const std::vector<std::string> kPair = {"mmproj.gguf", "model.gguf"};

std::vector<std::string> Quantize(const std::string& directory, const std::string& type) {
  return {"quantize", "--force", "--type", type, kNano, directory};
}

TEST(QuantizeKilled, TheOldPairOrTheNewOneIsThere) {
  for (const int number : {1, 2}) {
    SCOPED_TRACE(number);
    const ScratchDirectory scratch;
    const std::string out = scratch / "out";
    ASSERT_EQ(Fastvlm(Quantize(out, "q8")).exit_code, 0);
    ASSERT_EQ(RunAndKill(number, Quantize(out, "q4"), {}).exit_code, kKilled);
    EXPECT_EQ(DtypeOf(out), number == 1 ? "Q8_0" : "Q4_0");
    const ProgramResult info = Fastvlm({"info", out});
    EXPECT_EQ(info.err.find("model.gguf.part: is read as model.gguf") != std::string::npos,
              number == 2);
    // A further run that is killed as well, at the rename that would finish the first one or at its
    // own first.
    ASSERT_EQ(RunAndKill(1, Quantize(out, "bf16"), {}).exit_code, kKilled);
    EXPECT_EQ(DtypeOf(out), number == 1 ? "Q8_0" : "Q4_0");
    ASSERT_EQ(Fastvlm(Quantize(out, "q4")).exit_code, 0);
    EXPECT_EQ(FilesOf(out), kPair);
    EXPECT_EQ(DtypeOf(out), "Q4_0");
    EXPECT_EQ(RunAndKill(3, Quantize(out, "q8"), {}).exit_code, 0) << "there are two renames";
  }
}

TEST(QuantizeKilled, TheFirstPairIsThereOrNothingIs) {
  for (const int number : {1, 2}) {
    SCOPED_TRACE(number);
    const ScratchDirectory scratch;
    const std::string out = scratch / "out";
    ASSERT_EQ(RunAndKill(number, {"quantize", kNano, out}, {}).exit_code, kKilled);
    if (number == 1) {
      EXPECT_EQ(Fastvlm({"info", out}).exit_code, 1);
      EXPECT_EQ(Fastvlm({"quantize", kNano, out}).exit_code, 0);
    } else {
      EXPECT_EQ(DtypeOf(out), "Q8_0");
      const ProgramResult again = Fastvlm({"quantize", kNano, out});
      EXPECT_EQ(again.exit_code, 2);
      EXPECT_THAT(again.err, HasSubstr("exists already"));  // it was finished by that
    }
    EXPECT_EQ(FilesOf(out), kPair);
    EXPECT_EQ(DtypeOf(out), "Q8_0");
  }
}

TEST(QuantizePair, FilesOfDifferentRunsAreRefused) {
  const ScratchDirectory scratch;
  const std::string one = scratch / "one", other = scratch / "other";
  ASSERT_EQ(Fastvlm({"quantize", kNano, one}).exit_code, 0);
  ASSERT_EQ(Fastvlm({"quantize", kNano, other}).exit_code, 0);
  std::filesystem::create_directory(scratch / "mixed");
  std::filesystem::copy(one + "/model.gguf", scratch / "mixed");
  std::filesystem::copy(other + "/mmproj.gguf", scratch / "mixed");
  const ProgramResult mixed = Fastvlm({"info", scratch / "mixed"});
  EXPECT_EQ(mixed.exit_code, 1);
  EXPECT_THAT(mixed.err, HasSubstr("is from another run of 'fastvlm quantize'"));
  EXPECT_THAT(mixed.err, HasSubstr("--vision"));
  // Who names both wants both.
  std::filesystem::remove(scratch / "mixed/mmproj.gguf");
  EXPECT_EQ(Fastvlm({"info", "--vision", other, scratch / "mixed"}).exit_code, 0);
}

}  // namespace
}  // namespace fastvlm
