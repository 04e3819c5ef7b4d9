#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

ProgramResult Eval(const std::string& dataset, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"eval", "--model",      kTinyModel, "--resolution",
                                        "128",  "--max-tokens", "6",        dataset};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Fastvlm(arguments);
}

// What the program answers to a question outside an evaluation.
std::string AnswerTo(const std::string& question, const std::string& image) {
  const ProgramResult result =
      Fastvlm({"describe", "--json", "--model", kTinyModel, "--precision", "f32", "--resolution",
               "128", "--max-tokens", "6", "--prompt", question, image});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out)["text"];
}

std::string Line(const std::string& image, const std::string& question, const std::string& answer,
                 const std::string& task = "", const std::string& group = "") {
  Json line = {{"image", image}, {"question", question}, {"answer", answer}};
  if (!task.empty()) line["task"] = task;
  if (!group.empty()) line["group"] = group;
  return line.dump() + "\n";
}

class Eval5 : public ::testing::Test {
 protected:
  // Five questions about two pictures: three right answers, two wrong ones.
  Eval5() {
    std::filesystem::copy(kImage, scratch_ / "wide.png");
    std::filesystem::copy(kOtherImage, scratch_ / "tall.png");
    const std::string what = AnswerTo("What is this?", kImage);
    scratch_.Write("questions.jsonl",
                   Line("wide.png", "What is this?", " " + what + ".", "naming", "one") +
                       Line("wide.png", "Where?", AnswerTo("Where?", kImage), "naming", "one") +
                       Line("tall.png", "Where?", "not " + what, "naming", "two") +
                       Line("tall.png", "Who?", AnswerTo("Who?", kOtherImage), "reading", "two") +
                       Line("wide.png", "What is this?", what + " not", "reading", "two"));
    dataset_ = scratch_ / "questions.jsonl";
  }

  ScratchDirectory scratch_;
  std::string dataset_;
};

TEST_F(Eval5, CountsByTaskAndGroup) {
  const ProgramResult result = Eval(dataset_, {"--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1);
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["model"], kTinyModel);
  EXPECT_EQ(json["questions"], 5);
  EXPECT_EQ(json["correct"], 3);
  EXPECT_DOUBLE_EQ(json["exact_match"], 0.6);
  EXPECT_LT(json["interval_95"][0], 0.6);
  EXPECT_GT(json["interval_95"][1], 0.6);
  EXPECT_GT(json["ms_per_question"], 0);
  ASSERT_EQ(json["tasks"].size(), 2u);
  const Json& naming = json["tasks"][0];
  EXPECT_EQ(naming["task"], "naming");
  EXPECT_EQ(naming["questions"], 3);
  EXPECT_EQ(naming["correct"], 2);
  ASSERT_EQ(naming["groups"].size(), 2u);
  EXPECT_EQ(naming["groups"][0]["group"], "one");
  EXPECT_EQ(naming["groups"][0]["correct"], 2);
  EXPECT_EQ(naming["groups"][1]["questions"], 1);
  EXPECT_EQ(naming["groups"][1]["correct"], 0);
  EXPECT_EQ(json["tasks"][1]["correct"], 1);
}

TEST_F(Eval5, Table) {
  const ProgramResult result = Eval(dataset_);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("exact %"), HasSubstr("95 % interval"),
                                HasSubstr("naming   one            2    100.0"),
                                HasSubstr("reading  two            2     50.0"),
                                HasSubstr("all                     5     60.0")));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 7);
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("\033")));
}

TEST_F(Eval5, LimitAndDirectory) {
  const ProgramResult result = Eval(scratch_ / "", {"--limit", "2", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["questions"], 2);
  EXPECT_EQ(Json::parse(result.out)["exact_match"], 1);
}

TEST_F(Eval5, Failures) {
  ASSERT_EQ(Eval(dataset_, {"--failures", scratch_ / "wrong.jsonl"}).exit_code, 0);
  std::istringstream lines(ReadAll(scratch_ / "wrong.jsonl"));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const Json first = Json::parse(line);
  EXPECT_EQ(first["source"], dataset_ + ":3");
  EXPECT_EQ(first["image"], scratch_ / "tall.png");
  EXPECT_EQ(first["task"], "naming");
  EXPECT_EQ(first["group"], "two");
  EXPECT_EQ(first["question"], "Where?");
  EXPECT_EQ(first["answer"], AnswerTo("Where?", kOtherImage));
  EXPECT_NE(first["answer"], first["expected"]);
  EXPECT_TRUE(std::getline(lines, line));
  EXPECT_FALSE(std::getline(lines, line));

  const ProgramResult result = Eval(dataset_, {"--failures", scratch_ / "no/wrong.jsonl"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("no/wrong.jsonl"));
  EXPECT_THAT(result.out, HasSubstr("naming")) << "the table is not lost";
}

TEST(Eval, TasksMayBeMissing) {
  const ScratchDirectory scratch;
  const std::string dataset = scratch.Write("q.jsonl", Line(kImage, "Who?", "nobody"));
  const ProgramResult result = Eval(dataset);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3);
}

TEST(Eval, BadData) {
  const ScratchDirectory scratch;
  const std::string good = Line(kImage, "Who?", "nobody");
  scratch.Write("broken.png", "this is no picture");
  const struct {
    std::string text;
    const char* message;
  } kCases[] = {
      {"", "no questions"},
      {good + "{\"image\": ", "q.jsonl:2: not valid JSON"},
      {good + Line("missing.png", "Who?", "nobody"), "q.jsonl:2: there is no image"},
      {good + Line("broken.png", "Who?", "nobody"), "q.jsonl:2: "},
      {good + "{\"image\": \"broken.png\"}\n", "q.jsonl:2: \"question\" must be"},
      {good + Line(kImage, std::string(20000, '7'), "nobody"), "q.jsonl:2: "},
  };
  for (const auto& test : kCases) {
    const ProgramResult result = Eval(scratch.Write("q.jsonl", test.text));
    EXPECT_EQ(result.exit_code, 1) << test.message;
    EXPECT_THAT(result.err, HasSubstr(test.message));
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(Eval("/no/such/dataset").exit_code, 1);
  EXPECT_THAT(Eval("/no/such/dataset").err, HasSubstr("/no/such/dataset"));
  const std::string dataset = scratch.Write("q.jsonl", good);
  const ProgramResult no_model = Fastvlm({"eval", "--model", "/no/such/model", dataset});
  EXPECT_EQ(no_model.exit_code, 1);
  EXPECT_THAT(no_model.err, HasSubstr("/no/such/model"));
}

TEST(Eval, WrongUsage) {
  const ScratchDirectory scratch;
  const std::string dataset = scratch.Write("q.jsonl", Line(kImage, "Who?", "nobody"));
  const struct {
    std::vector<std::string> more;
    const char* message;
  } kCases[] = {{{"--limit", "many"}, "many"},
                {{"--max-tokens", "0"}, "max-tokens"},
                {{"--resolution", "100"}, "multiples of 64"},
                {{"second.jsonl"}, "second.jsonl"}};
  for (const auto& test : kCases) {
    const ProgramResult result = Eval(dataset, test.more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(test.message));
  }
}

}  // namespace
}  // namespace fastvlm
