#include "train/trainer/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "train/trainer/test_run.h"

namespace fastvlm::train {
namespace {

using ::testing::HasSubstr;

struct Opened {
  explicit Opened(const ToyRun& run)
      : recipe(ReadRecipe(run.recipe_path()).value()),
        art(Art::Open(run.art_path()).value()),
        tokenizer(Tokenizer::Load(run.tokenizer_path()).value()) {}

  Result<std::unique_ptr<Trainer>> Start(const std::string& directory, int threads,
                                         int64_t max_steps) const {
    RunOptions options;
    options.directory = directory;
    options.threads = threads;
    options.max_steps = max_steps;
    options.score_pictures = 1;
    options.log_every = 1;
    return Trainer::Create(recipe, art, tokenizer, options);
  }

  Recipe recipe;
  Art art;
  Tokenizer tokenizer;
};

std::vector<StepReport> RunToEnd(Trainer& trainer) {
  std::vector<StepReport> reports;
  const std::atomic<bool> stop{false};
  const Status status = trainer.Run(
      stop, [&](const StepReport& report) { reports.push_back(report); },
      [](const std::vector<Score>& scores) { EXPECT_EQ(scores.size(), Trials().size()); });
  EXPECT_TRUE(status.ok()) << status.message();
  return reports;
}

void ExpectSameParameters(const Network& a, const Network& b) {
  const auto left = a.named_parameters(), right = b.named_parameters();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(left[i].value().equal(right[i].value())) << left[i].key();
  }
  const auto first = a.named_buffers(), second = b.named_buffers();
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(first[i].value().equal(second[i].value())) << first[i].key();
  }
}

TEST(Trainer, ResumedRunEqualsUninterruptedOnAnyThreads) {
  for (const bool multi_branch : {false, true}) {
    const ToyRun run(multi_branch);
    const Opened opened(run);
    auto whole = opened.Start(run.Path("whole"), 2, 0);
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    EXPECT_EQ(RunToEnd(**whole).size(), 8u);
    EXPECT_TRUE((*whole)->done());

    for (const int64_t steps : {3, 2, 0}) {
      auto part = opened.Start(run.Path("parts"), 1, steps);
      ASSERT_TRUE(part.ok()) << part.status().message();
      RunToEnd(**part);
    }
    auto resumed = opened.Start(run.Path("parts"), 1, 0);
    ASSERT_TRUE(resumed.ok());
    EXPECT_TRUE((*resumed)->done());
    ExpectSameParameters((*whole)->network(), (*resumed)->network());
    EXPECT_EQ((*resumed)->progress().pictures, 64);
  }
}

TEST(Trainer, LossesFall) {
  const ToyRun run(false, 60, 60);
  const Opened opened(run);
  auto trainer = opened.Start(run.Path("run"), 2, 0);
  ASSERT_TRUE(trainer.ok());
  const auto reports = RunToEnd(**trainer);
  ASSERT_EQ(reports.size(), 120u);
  const auto mean = [&](size_t begin, double StepReport::*loss) {
    double sum = 0;
    for (size_t i = begin; i < begin + 5; ++i) sum += reports[i].*loss;
    return sum / 5;
  };
  EXPECT_LT(mean(55, &StepReport::class_), 0.98 * mean(0, &StepReport::class_));
  EXPECT_LT(mean(115, &StepReport::answer), 0.6 * mean(60, &StepReport::answer));
  EXPECT_LT(mean(115, &StepReport::tied), 0.9 * mean(60, &StepReport::tied));
}

TEST(Trainer, LogHasEachStepOnceAfterAKilledRun) {
  const ToyRun run;
  const Opened opened(run);
  RunToEnd(**opened.Start(run.Path("run"), 1, 3));
  // As a run leaves it that was killed two steps after its last save.
  std::string log = ReadTextFile(run.Path("run/log.csv"), 1 << 20).value();
  run.directory().Write("run/log.csv", log + "4,crops,4,32,9.0,1,1,1,1,1\n5,scenes,1,40,9.0,1\n");
  RunToEnd(**opened.Start(run.Path("run"), 1, 0));
  log = ReadTextFile(run.Path("run/log.csv"), 1 << 20).value();
  for (int step = 1; step <= 8; ++step) {
    const std::string start = fmt::format("\n{},", step);
    EXPECT_NE(log.find(start), std::string::npos) << step;
    EXPECT_EQ(log.find(start), log.rfind(start)) << step;
  }
}

TEST(Trainer, StopsWhenAskedAndKeepsWhatIsDone) {
  const ToyRun run;
  const Opened opened(run);
  auto trainer = opened.Start(run.Path("run"), 1, 0);
  std::atomic<bool> stop{false};
  const Status status = (*trainer)->Run(
      stop, [&](const StepReport& report) { stop = report.progress.total_steps == 2; },
      [](const std::vector<Score>&) {});
  EXPECT_TRUE(status.ok());
  EXPECT_EQ((*opened.Start(run.Path("run"), 1, 0))->progress().total_steps, 2);
}

// tests/compatibility/README.md says how these files were made.
TEST(Trainer, GoesOnFromAnEarlierVersionsState) {
  const std::string files = FASTVLM_SOURCE_DIR "/tests/compatibility/trainer/";
  const ToyRun toy;  // for its art
  const TemporaryDirectory directory;
  directory.Write("state.safetensors", ReadTextFile(files + "state.safetensors", 1 << 24).value());
  RunOptions options;
  options.directory = directory.path();
  options.threads = 1;
  options.max_steps = 1;
  options.log_every = 1;
  const Recipe recipe = ReadRecipe(files + "recipe.json").value();
  const Art art = Art::Open(toy.art_path()).value();
  const Tokenizer tokenizer = Tokenizer::Load(files + "tokenizer").value();
  auto trainer = Trainer::Create(recipe, art, tokenizer, options);
  ASSERT_TRUE(trainer.ok()) << trainer.status().message();
  EXPECT_EQ((*trainer)->progress().phase, 0);
  EXPECT_EQ((*trainer)->progress().step, 3);
  EXPECT_EQ((*trainer)->progress().total_steps, 3);
  EXPECT_EQ((*trainer)->progress().pictures, 24);

  const MappedFile file = MappedFile::Open(files + "state.safetensors").value();
  const auto stored = ParseSafetensors(file.bytes(), "state").value();
  const auto parameters = (*trainer)->network().named_parameters();
  ASSERT_GT(parameters.size(), 20u);
  for (const auto& parameter : parameters) {
    const auto entry = std::find_if(stored.begin(), stored.end(), [&](const StoredTensor& tensor) {
      return tensor.tensor.name == "value/" + parameter.key();
    });
    ASSERT_NE(entry, stored.end()) << parameter.key();
    torch::Tensor values = torch::empty_like(parameter.value());
    ASSERT_EQ(entry->tensor.elements(), values.numel()) << parameter.key();
    entry->tensor.CopyToF32(values.data_ptr<float>());
    EXPECT_TRUE(values.equal(parameter.value())) << parameter.key();
  }
  const auto reports = RunToEnd(**trainer);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].progress.total_steps, 4);
  EXPECT_TRUE(std::isfinite(reports[0].class_));
}

class BadState : public ::testing::Test {
 protected:
  void SetUp() override { RunToEnd(**opened_.Start(run_.Path("run"), 1, 1)); }

  Status Open() const { return opened_.Start(run_.Path("run"), 1, 0).status(); }
  std::string State() const {
    return ReadTextFile(run_.Path("run/state.safetensors"), 1 << 24).value();
  }
  void SetState(const std::string& bytes) const {
    run_.directory().Write("run/state.safetensors", bytes);
  }

  const ToyRun run_;
  const Opened opened_{run_};
};

TEST_F(BadState, Truncated) {
  const std::string state = State();
  for (const size_t size : {size_t{0}, size_t{5}, size_t{1000}, state.size() - 1}) {
    SetState(state.substr(0, size));
    EXPECT_EQ(Open().code(), StatusCode::kDataError) << size;
    EXPECT_THAT(Open().message(), HasSubstr("state.safetensors"));
  }
}

TEST_F(BadState, OtherVersion) {
  std::string state = State();
  uint64_t header = 0;
  for (size_t i = 0; i < 8; ++i) header |= uint64_t{static_cast<uint8_t>(state[i])} << (8 * i);
  ++state[8 + header];  // "progress" comes first, and first in it the version
  SetState(state);
  EXPECT_EQ(Open().code(), StatusCode::kDataError);
  EXPECT_THAT(Open().message(), HasSubstr("a newer fastvlm-train wrote this state: it has version "
                                          "2, this program reads 1"));
}

TEST_F(BadState, OtherNetwork) {
  std::string recipe = ToyRecipe(false, 4, 4);
  recipe.replace(recipe.find("\"layers\": 2"), 11, "\"layers\": 3");
  run_.directory().Write("recipe.json", recipe);
  const Opened other(run_);
  const Status status = other.Start(run_.Path("run"), 1, 0).status();
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), HasSubstr("another shape"));
}

TEST_F(BadState, StepThatTheRecipeDoesNotHave) {
  RunToEnd(**opened_.Start(run_.Path("run"), 1, 2));  // three of four steps are done
  run_.directory().Write("recipe.json", ToyRecipe(false, 2, 4));
  const Opened shorter(run_);
  const Status status = shorter.Start(run_.Path("run"), 1, 0).status();
  EXPECT_EQ(status.code(), StatusCode::kDataError);
  EXPECT_THAT(status.message(), HasSubstr("step 3 of phase 0"));
}

TEST(Trainer, UnwritableDirectoryIsAnError) {
  const ToyRun run;
  const Opened opened(run);
  const auto trainer = opened.Start(run.Path("no/such/parent"), 1, 0);
  EXPECT_EQ(trainer.status().code(), StatusCode::kIoError);
  EXPECT_THAT(trainer.status().message(), HasSubstr("no/such/parent"));
}

TEST(ReadRecipe, NamesWhatIsWrong) {
  const TemporaryDirectory directory;
  const std::string good = ToyRecipe(false, 4, 4);
  const auto message = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    directory.Write("recipe.json", text.replace(at, from.size(), to));
    const auto recipe = ReadRecipe(directory.Path("recipe.json"));
    return recipe.ok() ? std::string() : recipe.status().message();
  };
  EXPECT_EQ(message("5", "6"), "");
  EXPECT_THAT(message("\"steps\": 4", "\"steps\": 0"), HasSubstr("phases[0].steps"));
  EXPECT_THAT(message("\"crops\", \"steps\"", "\"photos\", \"steps\""),
              HasSubstr("phases[0].data"));
  EXPECT_THAT(message("[32, 32, 1]", "[30, 32, 1]"), HasSubstr("multiples of 32"));
  EXPECT_THAT(message("[32, 32, 1]", "[32, 64, 1]"), HasSubstr("squares"));
  EXPECT_THAT(message("\"batch\": 8", "\"batch\": 9"), HasSubstr("phases[0].batch"));
  EXPECT_THAT(message("\"hidden\": 32", "\"hidden\": 33"), HasSubstr("network.hidden"));
  EXPECT_THAT(message("\"kv_heads\": 1", "\"kv_heads\": 3"), HasSubstr("network.kv_heads"));
  EXPECT_THAT(message("\"learning_rate\"", "\"learning_rat\""), HasSubstr("learning_rat"));
  EXPECT_EQ(message("\"pad\": true", "\"pad\": true, \"layouts\": [1, 0, 0, 0, 2.5, 0]"), "");
  for (const char* layouts : {"[1, 1]", "[0, 0, 0, 0, 0, 0]", "[1, 1, 1, 1, 1, -1]", "\"text\""}) {
    EXPECT_THAT(message("\"pad\": true", fmt::format("\"pad\": true, \"layouts\": {}", layouts)),
                HasSubstr("phases[1].layouts"));
  }
  EXPECT_THAT(message("64:1:2:a", "65:1:2:a"), HasSubstr("stage '65:1:2:a'"));
  EXPECT_THAT(message("\"image_size\": 64", "\"image_size\": 65"), HasSubstr("image_size"));
}

TEST(LearningRate, WarmsUpThenFallsToItsEnd) {
  Phase phase;
  phase.steps = 1000;
  phase.learning_rate = 2;
  phase.final_factor = 0.1;
  phase.warmup = 0.1;
  EXPECT_NEAR(LearningRate(phase, 0), 0.02, 1e-9);
  EXPECT_NEAR(LearningRate(phase, 99), 2, 1e-9);
  EXPECT_NEAR(LearningRate(phase, 549), 1.1, 1e-9);
  EXPECT_NEAR(LearningRate(phase, 999), 0.2, 1e-9);
}

}  // namespace
}  // namespace fastvlm::train
