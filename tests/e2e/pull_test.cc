// `fastvlm pull`, `models` and --model NAME against a hub in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/hub_server.h"
#include "support/zip_writer.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class PullTest : public ::testing::Test {
 protected:
  PullTest() {
    for (const auto& entry : std::filesystem::directory_iterator(kTinyModel)) {
      const std::string name = entry.path().filename().string();
      server_.Add(name, ReadAll(entry.path().string()), name == "model.safetensors");
    }
    server_.Add("LICENSE", "You may look, but not touch.");
    unsetenv("HF_TOKEN");
    environment_ = {"HF_ENDPOINT=" + server_.endpoint() + "/", "XDG_CACHE_HOME=" + (cache_ / "")};
  }

  ProgramResult Run(const std::vector<std::string>& arguments) {
    return Fastvlm(arguments, "", environment_);
  }
  // The program in a shell that ends it by this signal once something was fetched. The server keeps
  // the rest back, so that the program cannot come to its end before.
  ProgramResult PullAndSignal(const std::string& signal) {
    server_.hold_after = 100'000;
    server_.holds = INT_MAX;
    const std::string part = Partial() + "/model.safetensors.part";
    const std::string script =
        std::string(FASTVLM_PROGRAM) + " pull owner/model & pid=$!; while [ ! -s " + part +
        " ] && kill -0 $pid; do sleep 0.01; done; kill -" + signal + " $pid; wait $pid; exit $?";
    const ProgramResult result = RunProgram({"/bin/sh", "-c", script}, "", environment_);
    server_.Release();
    server_.holds = 0;
    return result;
  }
  std::string Partial() const { return cache_ / "fastvlm/partial/owner/model"; }
  std::string Directory() const { return cache_ / "fastvlm/models/owner/model"; }
  // The next pull begins with what is there.
  void ExpectResumes() {
    const auto bytes = std::filesystem::file_size(Partial() + "/model.safetensors.part");
    EXPECT_GT(bytes, 0u);
    EXPECT_LT(bytes, server_.Contents("model.safetensors").size());
    EXPECT_FALSE(std::filesystem::exists(Directory()));
    server_.Forget();
    const ProgramResult result = Run({"pull", "owner/model"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("are here already"));
    ASSERT_EQ(server_.requests().size(), 2u);
    EXPECT_EQ(server_.requests()[1].range, "bytes=" + std::to_string(bytes) + "-");
    EXPECT_EQ(ReadAll(Directory() + "/model.safetensors"), server_.Contents("model.safetensors"));
  }

  ScratchDirectory cache_;
  HubServer server_;
  std::vector<std::string> environment_;
};

TEST_F(PullTest, PullsListsUsesAndRemoves) {
  const ProgramResult pulled = Run({"pull", "owner/model"});
  ASSERT_EQ(pulled.exit_code, 0) << pulled.err;
  EXPECT_EQ(std::filesystem::path(pulled.out.substr(0, pulled.out.size() - 1)).lexically_normal(),
            std::filesystem::path(Directory()).lexically_normal());
  EXPECT_THAT(pulled.err, AllOf(HasSubstr("You may look, but not touch."),
                                HasSubstr("test-licence"), Not(HasSubstr("research"))));

  const std::vector<std::string> ask = {"describe",     "--json", "--max-tokens", "4",
                                        "--resolution", "64",     "--model"};
  const auto answer = [&](const std::string& model) {
    std::vector<std::string> arguments = ask;
    arguments.insert(arguments.end(), {model, kImage});
    const ProgramResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out)["token_ids"];
  };
  const Json expected = answer(kTinyModel);
  EXPECT_EQ(expected.size(), 4u);
  for (const char* name : {"owner/model", "model", "MODEL", "hf:owner/model"}) {
    EXPECT_EQ(answer(name), expected) << name;
  }
  EXPECT_EQ(Run({"info", "model"}).exit_code, 0);

  const ProgramResult again = Run({"pull", "owner/model"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, pulled.out);
  EXPECT_THAT(again.err, AllOf(HasSubstr("up to date"), Not(HasSubstr("You may look"))));

  EXPECT_THAT(Run({"models"}).out, AllOf(HasSubstr("nano"), HasSubstr("owner/model"),
                                         HasSubstr("apple"), HasSubstr("fetched")));
  const Json list = Json::parse(Run({"models", "--json"}).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1]["name"], "owner/model");
  EXPECT_EQ(list[1]["source"], "hf:owner/model@main");
  EXPECT_EQ(list[1]["revision"], server_.commit);
  EXPECT_GT(list[1]["bytes"].get<int64_t>(), 1000);

  EXPECT_EQ(Run({"models", "remove", "owner/none"}).exit_code, 1);
  EXPECT_EQ(Run({"models", "remove", "model"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(Directory()));
  EXPECT_EQ(Json::parse(Run({"models", "--json"}).out).size(), 1u);
  EXPECT_EQ(Run({"info", "--model", "model"}).exit_code, 1);
}

TEST_F(PullTest, AnUnknownModelNamesWhatThereIs) {
  ASSERT_EQ(Run({"pull", "--quiet", "owner/model"}).exit_code, 0);
  const ProgramResult result = Run({"describe", "--model", "apple/FastVLM-7B", kImage});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("owner/model"),
                                HasSubstr("'fastvlm pull apple/FastVLM-7B' fetches it")));
  EXPECT_THAT(Run({"info", "./nowhere"}).err, HasSubstr("./nowhere: no such directory"));
}

// A name may stand wherever a command takes a second model, and for the model to quantize.
TEST_F(PullTest, NamesStandForOtherModelsToo) {
  ASSERT_EQ(Run({"pull", "--quiet", "owner/model"}).exit_code, 0);
  const std::string out = cache_ / "q8";
  const ProgramResult quantized = Run({"quantize", "owner/model", out});
  ASSERT_EQ(quantized.exit_code, 0) << quantized.err;

  const auto compare = [&](const std::string& candidate) {
    return Run({"compare", "--json", "--model", kTinyModel, "--candidate-model", candidate,
                "--candidate", "q8", "--max-tokens", "1", "--resolution", "64", kImage});
  };
  const ProgramResult named = compare("model");
  ASSERT_EQ(named.exit_code, 0) << named.err;
  EXPECT_EQ(Json::parse(named.out)["cosine_mean"],
            Json::parse(compare(kTinyModel).out)["cosine_mean"]);
  EXPECT_THAT(compare("owner/none").err, HasSubstr("owner/model"));

  // The language model alone, and the encoder of the fetched one.
  std::filesystem::remove(out + "/mmproj.gguf");
  const auto describe = [&](const std::vector<std::string>& vision) {
    std::vector<std::string> arguments = {
        "describe", "--json", "--max-tokens", "2", "--resolution", "64", "--model", out, kImage};
    arguments.insert(arguments.end(), vision.begin(), vision.end());
    return Run(arguments);
  };
  EXPECT_EQ(describe({}).exit_code, 1);
  const ProgramResult by_name = describe({"--vision", "model"});
  ASSERT_EQ(by_name.exit_code, 0) << by_name.err;
  EXPECT_EQ(Json::parse(by_name.out)["token_ids"],
            Json::parse(describe({"--vision", kTinyModel}).out)["token_ids"]);
  EXPECT_THAT(describe({"--vision", "owner/none"}).err, HasSubstr("owner/model"));
  EXPECT_EQ(Run({"info", out, "--vision", "owner/model"}).exit_code, 0);
}

TEST_F(PullTest, KilledThenResumed) {
  EXPECT_EQ(PullAndSignal("KILL").exit_code, 128 + SIGKILL);
  const Json list = Json::parse(Run({"models", "--json"}).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1]["state"], "incomplete");
  ExpectResumes();
}

TEST_F(PullTest, InterruptedThenResumed) {
  const ProgramResult result = PullAndSignal("INT");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("stopped; the next pull goes on from here"));
  ExpectResumes();
}

// A limit on the size of files stops writing half way, as a full disk does.
TEST_F(PullTest, ADiskThatFillsUp) {
  const std::string script =
      "ulimit -f 64; exec " + std::string(FASTVLM_PROGRAM) + " pull owner/model";
  ASSERT_GT(server_.Contents("model.safetensors").size(), 64u * 1024);
  const ProgramResult result = RunProgram({"/bin/bash", "-c", script}, "", environment_);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, AllOf(HasSubstr("model.safetensors.part: cannot write"),
                                HasSubstr("free some space")));
  ExpectResumes();
}

TEST_F(PullTest, ADiskThatIsTooSmall) {
  const std::string disk = cache_ / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "no right to mount a small file system";
  }
  environment_[1] = "XDG_CACHE_HOME=" + disk;
  const ProgramResult result = Run({"pull", "owner/model"});
  umount(disk.c_str());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("of free space"));
  EXPECT_TRUE(server_.RequestsOf("model.safetensors").empty());
}

TEST_F(PullTest, NoNetwork) {
  environment_[0] = "HF_ENDPOINT=http://127.0.0.1:1";
  const ProgramResult result = Run({"pull", "apple/FastVLM-0.5B"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("cannot connect"), HasSubstr("online")));
  EXPECT_EQ(result.out, "");
}

TEST_F(PullTest, TokensAndMissingModels) {
  EXPECT_THAT(Run({"pull", "owner/other"}).err, HasSubstr("HTTP 404"));
  server_.token = "letmein";
  const ProgramResult refused = Run({"pull", "owner/model"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("HF_TOKEN"));
  environment_.push_back("HF_TOKEN=letmein");
  const ProgramResult result = Run({"pull", "owner/model"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, Not(HasSubstr("letmein")));
}

TEST_F(PullTest, Zip) {
  std::vector<std::pair<std::string, std::string>> files = {{"__MACOSX/tiny/._x", "x"}};
  for (const auto& entry : std::filesystem::directory_iterator(kTinyModel)) {
    files.emplace_back("tiny/" + entry.path().filename().string(), ReadAll(entry.path().string()));
  }
  server_.Add("tiny.zip", MakeZip(files, true));
  const std::string url = server_.endpoint() + "/cdn/tiny.zip";
  const ProgramResult result = Run({"pull", url});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Run({"info", "--model", "tiny"}).exit_code, 0);
  EXPECT_EQ(Run({"info", "--model", url}).exit_code, 0);
  EXPECT_EQ(Run({"pull", url, "--sha256", std::string(64, '0')}).exit_code, 1);
}

TEST_F(PullTest, WrongUsage) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"pull"},
                                                    {"pull", "a b"},
                                                    {"pull", "owner/model", "--sha256", "x"},
                                                    {"models", "remove"},
                                                    {"models", "delete"}}) {
    const ProgramResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
  }
  for (const char* command : {"pull", "models", "verify"}) {
    EXPECT_THAT(Run({command, "--help"}).out, HasSubstr("Examples:"));
  }
}

}  // namespace
}  // namespace fastvlm
