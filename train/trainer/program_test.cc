// fastvlm-train as a user runs it: killed, resumed, misused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "support/run_program.h"
#include "train/trainer/test_run.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> TrainCommand(const ToyRun& run, const std::string& directory) {
  return {FASTVLM_TRAIN_PROGRAM,
          "train",
          "--recipe",
          run.recipe_path(),
          "--art",
          run.art_path(),
          "--tokenizer",
          run.tokenizer_path(),
          "--run",
          run.Path(directory),
          "--save-minutes",
          "0.00001",
          "--score-every",
          "0",
          "--score-pictures",
          "1"};
}

// Starts the command, which must not come to an end by itself, and kills it once its log has the
// fourth step.
void RunAndKill(const std::vector<std::string>& command, const std::string& log) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    freopen("/dev/null", "w", stderr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    const auto text = ReadTextFile(log, 1 << 20);
    if (text.ok() && text->find("\n4,") != std::string::npos) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    usleep(10'000);
  }
  ASSERT_TRUE(WIFSIGNALED(status)) << "the run ended by itself";
}

TEST(TrainProgram, KilledRunGoesOnToTheSameEnd) {
  const ToyRun run(false, 5, 20'000);  // minutes, of which a second is run
  std::vector<std::string> killed = TrainCommand(run, "killed");
  killed.insert(killed.end(), {"--log-every", "2"});
  RunAndKill(killed, run.Path("killed/log.csv"));
  killed.insert(killed.end(), {"--max-steps", "5"});
  ProgramResult result = RunProgram(killed);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string going_on = "Going on after ";
  const size_t at = result.err.find(going_on);
  ASSERT_NE(at, std::string::npos) << result.err;
  const int saved = std::stoi(result.err.substr(at + going_on.size()));
  EXPECT_GE(saved, 1);
  std::vector<std::string> whole = TrainCommand(run, "whole");
  whole.insert(whole.end(), {"--max-steps", std::to_string(saved + 5)});
  result = RunProgram(whole);
  ASSERT_EQ(result.exit_code, 0) << result.err;

  for (const std::string name : {"killed", "whole"}) {
    result = RunProgram({FASTVLM_TRAIN_PROGRAM, "export", "--recipe", run.recipe_path(), "--art",
                         run.art_path(), "--tokenizer", run.tokenizer_path(), "--run",
                         run.Path(name), "--output", run.Path(name + "-model")});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  EXPECT_EQ(ReadTextFile(run.Path("killed-model/model.safetensors"), 1 << 24).value(),
            ReadTextFile(run.Path("whole-model/model.safetensors"), 1 << 24).value());
}

TEST(TrainProgram, QuestionsAreReadByEval) {
  const ToyRun run;
  const ProgramResult result =
      RunProgram({FASTVLM_TRAIN_PROGRAM, "questions", "--art", run.art_path(), "--output",
                  run.Path("questions"), "--pictures", "2", "--height", "64", "--width", "96"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string lines = ReadTextFile(run.Path("questions/questions.jsonl"), 1 << 20).value();
  for (const char* task : {"name", "name_unseen_style", "describe_two", "count", "where"}) {
    EXPECT_THAT(lines, HasSubstr(fmt::format("\"task\":\"{}\"", task)));
  }
  EXPECT_TRUE(FileExists(run.Path("questions/name/00001.png")));
}

TEST(TrainProgram, WrongUsageEndsWithTwo) {
  const ToyRun run;
  EXPECT_EQ(RunProgram({FASTVLM_TRAIN_PROGRAM, "train"}).exit_code, 2);
  EXPECT_EQ(RunProgram({FASTVLM_TRAIN_PROGRAM, "practise"}).exit_code, 2);
  std::vector<std::string> command = TrainCommand(run, "run");
  command.insert(command.end(), {"--threads", "0"});
  EXPECT_EQ(RunProgram(command).exit_code, 2);
}

TEST(TrainProgram, MissingFilesAreNamed) {
  const ToyRun run;
  const struct {
    size_t argument;
    const char* path;
  } cases[] = {{3, "/nonexistent/recipe.json"},
               {5, "/nonexistent/art.cache"},
               {7, "/nonexistent/tokenizer"}};
  for (const auto& [argument, path] : cases) {
    std::vector<std::string> command = TrainCommand(run, "run");
    command[argument] = path;
    const ProgramResult result = RunProgram(command);
    EXPECT_EQ(result.exit_code, 1) << path;
    EXPECT_THAT(result.err, HasSubstr(path));
  }
}

TEST(TrainProgram, ExportWithoutARunIsAnError) {
  const ToyRun run;
  const ProgramResult result =
      RunProgram({FASTVLM_TRAIN_PROGRAM, "export", "--recipe", run.recipe_path(), "--art",
                  run.art_path(), "--tokenizer", run.tokenizer_path(), "--run", run.Path("none"),
                  "--output", run.Path("model")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("none/state.safetensors"));
}

}  // namespace
}  // namespace fastvlm::train
