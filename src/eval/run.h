// Asks a model the questions of a dataset and counts its right answers.
#ifndef FASTVLM_EVAL_RUN_H_
#define FASTVLM_EVAL_RUN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "eval/dataset.h"
#include "fastvlm/fastvlm.h"

namespace fastvlm {

struct EvalOptions {
  ImageOptions image;
  EncodeOptions encode;
  GenerateOptions generate;
};

// Right answers among some questions.
struct EvalScore {
  int64_t questions = 0;
  int64_t correct = 0;
  double total_ms = 0;  // encoding the image and answering, without reading the file

  void Add(bool is_correct, double ms);
};

struct EvalGroup {
  std::string name;
  EvalScore score;
};

struct EvalTask {
  std::string name;
  EvalScore score;
  std::vector<EvalGroup> groups;  // in the order of their first questions
};

struct EvalFailure {
  const EvalQuestion* question = nullptr;
  std::string answer;
};

struct EvalReport {
  EvalScore score;
  std::vector<EvalTask> tasks;  // in the order of their first questions
  std::vector<EvalFailure> failures;
};

// `progress` is called with 0..1 after each question. `questions` must outlive the report. Errors:
// those of Image::FromFile and Session::Ask, with the line of the question in front.
Result<EvalReport> RunEval(const std::shared_ptr<const Model>& model,
                           const std::vector<EvalQuestion>& questions, const EvalOptions& options,
                           const ProgressFn& progress = {});

// Writes one JSON object on each line, atomically: source, image, task, group, question, expected
// and answer. kIoError.
Status WriteFailures(const std::string& path, const std::vector<EvalFailure>& failures);

}  // namespace fastvlm

#endif  // FASTVLM_EVAL_RUN_H_
