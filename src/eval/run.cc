#include "eval/run.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/file.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "eval/score.h"

namespace fastvlm {
namespace {

// The entry called `name`, made if there is none.
template <typename Entry>
Entry& FindOrAdd(std::vector<Entry>& entries, const std::string& name) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  if (found != entries.end()) return *found;
  entries.emplace_back().name = name;
  return entries.back();
}

// An invalid option is the caller's fault; any other error belongs to the question.
Status AtQuestion(const EvalQuestion& question, const Status& status) {
  if (status.code() == StatusCode::kInvalidArgument) return status;
  return Status(status.code(), question.source + ": " + status.message());
}

}  // namespace

void EvalScore::Add(bool is_correct, double ms) {
  ++questions;
  correct += is_correct ? 1 : 0;
  total_ms += ms;
}

Result<EvalReport> RunEval(const std::shared_ptr<const Model>& model,
                           const std::vector<EvalQuestion>& questions, const EvalOptions& options,
                           const ProgressFn& progress) {
  FASTVLM_ASSIGN_OR_RETURN(Session session, Session::Create(model));
  EvalReport report;
  UserTurn turn;
  turn.encode = options.encode;
  std::string image_path;
  double done = 0;
  for (const EvalQuestion& question : questions) {
    if (question.image != image_path) {
      Result<Image> image = Image::FromFile(question.image, options.image);
      if (!image.ok()) return AtQuestion(question, image.status());
      turn.images.assign(1, std::move(image).value());
      image_path = question.image;
    }
    turn.text = question.question;
    session.Reset();
    const Stopwatch stopwatch;
    Result<Answer> answer = session.Ask(turn, options.generate);
    const double ms = stopwatch.Milliseconds();
    if (!answer.ok()) return AtQuestion(question, answer.status());
    const bool is_correct = IsExactMatch(answer->text, question.answer);
    EvalTask& task = FindOrAdd(report.tasks, question.task);
    for (EvalScore* score :
         {&report.score, &task.score, &FindOrAdd(task.groups, question.group).score}) {
      score->Add(is_correct, ms);
    }
    if (!is_correct) report.failures.push_back({&question, std::move(answer->text)});
    done += 1;
    if (progress) progress(done / static_cast<double>(questions.size()));
  }
  return report;
}

Status WriteFailures(const std::string& path, const std::vector<EvalFailure>& failures) {
  std::string text;
  for (const EvalFailure& failure : failures) {
    const EvalQuestion& question = *failure.question;
    const nlohmann::ordered_json line = {
        {"source", question.source}, {"image", question.image},       {"task", question.task},
        {"group", question.group},   {"question", question.question}, {"expected", question.answer},
        {"answer", failure.answer}};
    // A file name need not be valid UTF-8, JSON must be.
    text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  const std::span<const uint8_t> part(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(path, {&part, 1});
}

}  // namespace fastvlm
