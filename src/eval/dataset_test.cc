#include "eval/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Dataset : public ::testing::Test {
 protected:
  Dataset() {
    std::filesystem::create_directory(directory_.Path("images"));
    directory_.Write("images/a.png", "not read here");
  }

  TemporaryDirectory directory_;
};

TEST_F(Dataset, ReadsFilesAndDirectories) {
  directory_.Write(
      "questions.jsonl",
      "\n{\"image\": \"images/a.png\", \"question\": \"What?\", \"answer\": \"A cat.\", "
      "\"task\": \"naming\", \"group\": \"noto\", \"id\": 3}\r\n"
      "{\"image\": \"images/a.png\", \"question\": \"<image> Where?\", "
      "\"answer\": \"Left.\", \"group\": null}");
  for (const std::string& path : {directory_.path(), directory_.Path("questions.jsonl")}) {
    const auto questions = ReadQuestions(path, 0);
    ASSERT_TRUE(questions.ok()) << questions.status().message();
    ASSERT_EQ(questions->size(), 2u);
    const EvalQuestion& first = (*questions)[0];
    EXPECT_EQ(first.source, directory_.Path("questions.jsonl") + ":2");
    EXPECT_EQ(first.image, directory_.Path("images/a.png"));
    EXPECT_EQ(first.question, "What?");
    EXPECT_EQ(first.answer, "A cat.");
    EXPECT_EQ(first.task, "naming");
    EXPECT_EQ(first.group, "noto");
    EXPECT_EQ((*questions)[1].task, "");
    EXPECT_EQ((*questions)[1].group, "");
  }
}

TEST_F(Dataset, TheLimitEndsReading) {
  directory_.Write("q.jsonl", R"({"image": "images/a.png", "question": "?", "answer": "!"})"
                              "\nbroken\n");
  EXPECT_EQ(ReadQuestions(directory_.Path("q.jsonl"), 1)->size(), 1u);
  EXPECT_FALSE(ReadQuestions(directory_.Path("q.jsonl"), 2).ok());
}

TEST_F(Dataset, BadLines) {
  const struct {
    std::string line;
    const char* message;
  } kCases[] = {
      {"{\"image\": \"images/a.png\", ", "not valid JSON"},
      {"\xff", "not valid JSON"},
      {"[1, 2]", "expected a JSON object"},
      {std::string(100000, '['), "nested deeper"},
      {R"({"question": "?", "answer": "!"})", "\"image\" must be a string that is not empty"},
      {R"({"image": "images/a.png", "answer": "!"})", "\"question\" must be"},
      {R"({"image": "images/a.png", "question": "?"})", "\"answer\" must be"},
      {R"({"image": "images/a.png", "question": "?", "answer": ""})", "\"answer\" must be"},
      {R"({"image": "images/a.png", "question": "?", "answer": 3})", "found 3"},
      {R"({"image": "images/a.png", "question": "?", "answer": "!", "task": []})", "\"task\""},
      {R"({"image": "images/b.png", "question": "?", "answer": "!"})", "images/b.png"},
      {R"({"image": "images", "question": "?", "answer": "!"})", "there is no image"},
      {R"({"image": "images/a.png", "question": "<image><image>", "answer": "!"})", "<image>"},
  };
  for (const auto& test : kCases) {
    directory_.Write("q.jsonl", "\n" + test.line + "\n");
    const Status status = ReadQuestions(directory_.Path("q.jsonl"), 0).status();
    EXPECT_FALSE(status.ok()) << test.line;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("q.jsonl:2: "), HasSubstr(test.message)));
  }
}

TEST_F(Dataset, FilesWithoutQuestions) {
  for (const char* text : {"", "\n \n\t\r\n"}) {
    directory_.Write("q.jsonl", text);
    const Status status = ReadQuestions(directory_.Path("q.jsonl"), 0).status();
    EXPECT_EQ(status.code(), StatusCode::kDataError);
    EXPECT_THAT(status.message(), HasSubstr("q.jsonl: no questions"));
  }
  EXPECT_EQ(ReadQuestions(directory_.Path("missing"), 0).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(ReadQuestions(directory_.Path("images"), 0).status().message(),
              HasSubstr("images/questions.jsonl"));
}

}  // namespace
}  // namespace fastvlm
