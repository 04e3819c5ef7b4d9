// Questions about images with their right answers, from a JSON Lines file.
#ifndef FASTVLM_EVAL_DATASET_H_
#define FASTVLM_EVAL_DATASET_H_

#include <cstddef>
#include <string>
#include <vector>

#include "fastvlm/status.h"

namespace fastvlm {

struct EvalQuestion {
  std::string source;  // "questions.jsonl:7", for messages
  std::string image;   // path
  std::string question;
  std::string answer;
  std::string task;   // "" if the line names none
  std::string group;  // likewise
};

// Reads one object per line:
//   {"image": "a.png", "question": "...", "answer": "...", "task": "naming", "group": "noto"}
// The last two may be missing; other fields are ignored, and so are blank lines. Images are
// relative to the file. `path` may be a directory with a questions.jsonl. At most `limit` questions
// are read from the start of the file; 0 means all.
// kNotFound, kIoError; kDataError names file and line: not a JSON object, a field missing or not a
// string, an image that is not there, no question at all.
Result<std::vector<EvalQuestion>> ReadQuestions(const std::string& path, size_t limit);

}  // namespace fastvlm

#endif  // FASTVLM_EVAL_DATASET_H_
