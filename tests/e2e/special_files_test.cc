// Pipes and devices in the places of files, and what `serve` refuses before it loads a model. A
// program that waits for such a file is ended after a while, with exit code 124.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProgramResult WithinTime(std::vector<std::string> arguments,
                         const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), {"/usr/bin/env", "timeout", "60", FASTVLM_PROGRAM});
  return RunProgram(arguments, "", environment);
}

void MakePipe(const std::string& path) {
  std::filesystem::remove(path);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
}

TEST(SpecialFiles, APipeAmongTheFilesOfAModelIsRefused) {
  const ScratchDirectory scratch;
  const std::string model = scratch / "model";
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json",
                           "vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json"}) {
    std::filesystem::remove_all(model);
    std::filesystem::copy(kTinyModel, model);
    const bool only_index = std::string_view(name) == "model.safetensors.index.json";
    if (only_index) std::filesystem::remove(model + "/model.safetensors");
    MakePipe(model + "/" + name);
    const ProgramResult result = WithinTime({"describe", "--model", model, kImage});
    EXPECT_EQ(result.exit_code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr(model + "/" + name + ": is a pipe, expected a file"));
  }
  std::filesystem::remove_all(model);
  std::filesystem::copy(kTinyModel, model);
  MakePipe(model + "/golden.json");
  const ProgramResult golden = WithinTime({"verify", "--model", model});
  EXPECT_EQ(golden.exit_code, 1);
  EXPECT_THAT(golden.err, HasSubstr("golden.json: is a pipe"));

  const std::string gguf = scratch / "gguf";
  for (const char* name : {"model.gguf", "mmproj.gguf"}) {
    ASSERT_EQ(Fastvlm({"quantize", "--force", kNano, gguf}).exit_code, 0);
    MakePipe(gguf + "/" + name);
    const ProgramResult result = WithinTime({"info", gguf});
    EXPECT_EQ(result.exit_code, 1) << name;
    EXPECT_THAT(result.err, HasSubstr(std::string(name) + ": is a pipe"));
    std::filesystem::remove(gguf + "/" + name);
  }
  MakePipe(scratch / "pipe");
  for (const std::string& path : {scratch / "pipe", std::string("/dev/zero")}) {
    const ProgramResult result = WithinTime({"info", path});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.exit_code, 124);
    EXPECT_THAT(result.err, HasSubstr(path + ": is neither a directory nor a file"));
  }
}

TEST(SpecialFiles, PicturesAndSchemasMayComeFromPipes) {
  const ProgramResult result = RunProgram(
      {"/bin/bash", "-c",
       "\"$0\" describe -q --max-tokens 2 --json-schema <(printf '{\"type\":\"integer\"}') "
       "<(cat \"$1\") - < \"$1\"",
       FASTVLM_PROGRAM, kNano + "/samples/fox.png"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(Serve, RefusesAtTheStart) {
  const ScratchDirectory scratch;
  MakePipe(scratch / "pipe");
  const std::string blanks = scratch.Write("blanks", "good\n\n# a note\n  two words\n");
  const std::string empty = scratch.Write("empty", "# none\n");
  const struct {
    std::vector<std::string> flags;
    int exit_code;
    std::string message;
  } kCases[] = {
      {{"--timeout", "nan"}, 2, "'nan' is no time"},
      {{"--timeout", "inf"}, 2, "'inf' is no time"},
      {{"--timeout", "0"}, 2, "'0' is no time"},
      {{"--timeout", "-1"}, 2, "no time"},
      {{"--timeout", "soon"}, 2, "soon"},
      {{"--cors", "evil"}, 2, "'evil' is no origin"},
      {{"--cors", "https://app.example/path"}, 2, "is no origin"},
      {{"--cors", "https://good.example", "--cors", "null"}, 2, "'null' is no origin"},
      {{"--api-key-file", blanks}, 2, "blanks:4: expected a key"},
      {{"--api-key-file", empty}, 1, "no key in it"},
      {{"--api-key-file", "/dev/zero"}, 1, "/dev/zero: is a device"},
      {{"--api-key-file", scratch / "pipe"}, 1, "is a pipe"},
      {{"--api-key-file", scratch / "none"}, 1, "none"},
      {{"--api-key", "two words"}, 2, "--api-key: expected a key"},
      {{"--api-key", ""}, 2, "--api-key"},
      {{"--tls-cert", scratch / "pipe", "--tls-key", scratch / "pipe"}, 1, "no such file"},
  };
  for (const auto& refused : kCases) {
    std::vector<std::string> arguments = {"serve", "--port", "0"};
    arguments.insert(arguments.end(), refused.flags.begin(), refused.flags.end());
    const ProgramResult result = WithinTime(arguments);
    EXPECT_EQ(result.exit_code, refused.exit_code) << refused.flags[1] << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr(refused.message));
    EXPECT_THAT(result.err, Not(HasSubstr("two words"))) << "a key is shown to nobody";
    EXPECT_THAT(result.err, Not(HasSubstr("Serving")));
  }
  EXPECT_EQ(WithinTime({"serve", "--port", "0"}, {"FASTVLM_API_KEY=two words"}).exit_code, 2);
}

}  // namespace
}  // namespace fastvlm
