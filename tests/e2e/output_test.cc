// Where results go: to full disks, beyond limits, and to terminals that obey what they are sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/hub_server.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kFoxPicture = kNano + "/samples/fox.png";

// The program in a shell that runs `script` with its path and arguments as $0 and $@.
ProgramResult InShell(const std::string& script, std::vector<std::string> arguments,
                      const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), {"/bin/sh", "-c", script, FASTVLM_PROGRAM});
  return RunProgram(arguments, "", environment);
}

TEST(Output, AFullDiskIsAnErrorOfEveryCommand) {
  const ScratchDirectory scratch;
  HubServer server;
  for (const auto& entry : std::filesystem::directory_iterator(kTinyModel)) {
    server.Add(entry.path().filename().string(), ReadAll(entry.path().string()));
  }
  const std::vector<std::string> environment = {"HF_ENDPOINT=" + server.endpoint(),
                                                "XDG_CACHE_HOME=" + (scratch / "cache")};
  std::filesystem::copy(kFoxPicture, scratch / "fox.png");
  const std::string questions = scratch.Write(
      "questions.jsonl", R"({"image": "fox.png", "question": "What?", "answer": "A fox."})");
  const std::string golden = scratch.Write(
      "golden.json", R"({"checks": [{"prompt": "Hello", "max_tokens": 1, "contains": []}]})");
  const std::vector<std::vector<std::string>> commands = {
      {"--help"},
      {"--version"},
      {"describe", "--help"},
      {"describe", "--max-tokens", "2", kFoxPicture},
      {"describe", "--max-tokens", "2", "--json", kFoxPicture},
      {"info"},
      {"info", "--json"},
      {"models"},
      {"models", "--json"},
      {"bench", "--model", kTinyModel, "--encoder", "64", "--prefill", "8", "--decode", "0",
       "--batch", "1", "--decode-tokens", "1", "--repetitions", "1"},
      {"compare", "--candidate", "q8", "--max-tokens", "1", kFoxPicture},
      {"eval", questions},
      {"eval", "--json", questions},
      {"verify", "--golden", golden},
      {"verify", "--json", "--golden", golden},
      {"quantize", kNano, scratch / "q8"},
      {"pull", "-q", "owner/model"},
      {"encode", kFoxPicture, "--output", "/dev/full"},
  };
  for (const auto& command : commands) {
    const ProgramResult result = InShell("exec \"$0\" \"$@\" > /dev/full", command, environment);
    EXPECT_EQ(result.exit_code, 1) << command[0] << ": " << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr("error: "), HasSubstr("cannot write"))) << command[0];
    // One error, not one for each place that noticed it.
    EXPECT_EQ(result.err.find("error: "), result.err.rfind("error: ")) << result.err;
  }
  // A wrong command line stays one.
  EXPECT_EQ(InShell("exec \"$0\" \"$@\" > /dev/full", {"describe", "--nonsense"}).exit_code, 2);
  // Nobody to tell is no reason to crash.
  EXPECT_EQ(InShell("exec \"$0\" \"$@\" 2> /dev/full", {"info", scratch / "none"}).exit_code, 1);
}

// A file that the program opens does not become the standard output that was closed.
TEST(Output, AClosedStandardOutputIsAnError) {
  const ScratchDirectory scratch;
  const std::string out = scratch / "q4";
  const ProgramResult result =
      InShell("exec \"$0\" \"$@\" >&-", {"quantize", "--type", "q4", kNano, out});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output"));
  EXPECT_EQ(Fastvlm({"info", out}).exit_code, 0);
}

// The signal of `ulimit -f` would end the program and leave its temporary files behind.
TEST(Output, ALimitOfFileSizesIsAnError) {
  const ScratchDirectory scratch;
  std::filesystem::create_directory(scratch / "out");
  const std::string limited = "ulimit -f 4; exec \"$0\" \"$@\"";
  const ProgramResult encoded =
      InShell(limited, {"encode", kFoxPicture, "--output", scratch / "out/fox.npy"});
  EXPECT_EQ(encoded.exit_code, 1);
  EXPECT_THAT(encoded.err, HasSubstr("File too large"));
  const ProgramResult quantized = InShell(limited, {"quantize", kNano, scratch / "out"});
  EXPECT_EQ(quantized.exit_code, 1);
  EXPECT_THAT(quantized.err, HasSubstr("File too large"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "out"));
}

// What the program writes to a terminal, standard output and standard error together.
std::string OnTerminal(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), FASTVLM_PROGRAM);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  FASTVLM_CHECK(child >= 0);
  if (child == 0) {
    setenv("NO_COLOR", "1", 1);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; (got = read(terminal, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  close(terminal);
  waitpid(child, nullptr, 0);
  return text;
}

constexpr char kSteering[] =
    "x\033]0;title\007\033[31m\xc2\x9b"
    "32m\x7f";

auto HasNoSteering() {
  return AllOf(Not(HasSubstr("\033]")), Not(HasSubstr("\033[3")), Not(HasSubstr("\007")),
               Not(HasSubstr("\xc2\x9b")), Not(HasSubstr("\x7f")));
}

TEST(Output, NamesDoNotSteerTheTerminal) {
  const ScratchDirectory scratch;
  const std::string model = scratch / kSteering;
  std::filesystem::copy(kTinyModel, model);
  const std::string picture = scratch / (std::string(kSteering) + ".png");
  std::filesystem::copy(kFoxPicture, picture);
  const std::vector<std::vector<std::string>> commands = {
      {"info", model},
      {"info", "--json", model},
      {"info", model + "/none"},
      {"describe", "--max-tokens", "1", "--resolution", "64", "--model", model, picture, picture},
      {"describe", "--max-tokens", "1", picture + ".none"},
      {"quantize", model, scratch / (std::string("out") + kSteering)},
      {kSteering},
      {"describe", std::string("--") + kSteering},
      {"models", "remove", kSteering},
  };
  for (const auto& command : commands) {
    EXPECT_THAT(OnTerminal(command),
                AllOf(AnyOf(HasSubstr("x?"), HasSubstr("x\\u001b")), HasNoSteering()))
        << command[0];
  }
  // Errors go without such characters wherever they go, results into a pipe as they are, since
  // scripts need the names; JSON says the same without the characters.
  EXPECT_THAT(Fastvlm({"info", model + "/none"}).err, HasNoSteering());
  EXPECT_THAT(Fastvlm({kSteering}).err, HasNoSteering());
  EXPECT_THAT(Fastvlm({"info", model}).out, HasSubstr(model));
  const ProgramResult json = Fastvlm({"info", "--json", model});
  EXPECT_THAT(json.out, HasNoSteering());
  EXPECT_EQ(nlohmann::json::parse(json.out)["model"]["directory"].get<std::string>(), model);
}

}  // namespace
}  // namespace fastvlm
