#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/printable.h"
#include "commands.h"
#include "eval/run.h"
#include "eval/score.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

using Json = nlohmann::ordered_json;

struct EvalFlags {
  ModelFlags model;
  ImageFlags image;
  GenerateOptions generate;
  std::string dataset;
  std::string failures;
  size_t limit = 0;
  bool json = false;
};

double Share(const EvalScore& score) {
  return static_cast<double>(score.correct) / static_cast<double>(score.questions);
}

double MeanMilliseconds(const EvalScore& score) {
  return score.total_ms / static_cast<double>(score.questions);
}

struct ScoreRow {
  std::string task, group;
  const EvalScore* score;
};

// Tasks, each followed by its groups where it has any, then the whole.
std::vector<ScoreRow> Rows(const EvalReport& report) {
  std::vector<ScoreRow> rows;
  for (const EvalTask& task : report.tasks) {
    const std::string name = task.name.empty() ? "-" : task.name;
    rows.push_back({name, "", &task.score});
    if (task.groups.size() == 1 && task.groups[0].name.empty()) continue;
    for (const EvalGroup& group : task.groups) {
      rows.push_back({name, group.name.empty() ? "-" : group.name, &group.score});
    }
  }
  rows.push_back({"all", "", &report.score});
  return rows;
}

std::string Table(const EvalReport& report) {
  const std::vector<ScoreRow> rows = Rows(report);
  size_t task_width = 4;
  size_t group_width = 5;
  for (const ScoreRow& row : rows) {
    task_width = std::max(task_width, row.task.size());
    group_width = std::max(group_width, row.group.size());
  }
  std::string table =
      fmt::format("{:<{}}  {:<{}}  questions  exact %  95 % interval  ms/question\n", "task",
                  task_width, "group", group_width);
  for (const ScoreRow& row : rows) {
    const Interval interval = WilsonInterval(row.score->correct, row.score->questions);
    table +=
        fmt::format("{:<{}}  {:<{}}  {:>9}  {:>7.1f}  {:>13}  {:>11.1f}\n", row.task, task_width,
                    row.group, group_width, row.score->questions, 100 * Share(*row.score),
                    fmt::format("{:.1f} - {:.1f}", 100 * interval.low, 100 * interval.high),
                    MeanMilliseconds(*row.score));
  }
  return table;
}

// Shares are 0 to 1.
Json ScoreJson(const EvalScore& score) {
  const Interval interval = WilsonInterval(score.correct, score.questions);
  return {{"questions", score.questions},
          {"correct", score.correct},
          {"exact_match", Share(score)},
          {"interval_95", {interval.low, interval.high}},
          {"ms_per_question", MeanMilliseconds(score)}};
}

Json NamedScoreJson(const char* key, const std::string& name, const EvalScore& score) {
  Json json = {{key, name}};
  json.update(ScoreJson(score));
  return json;
}

std::string JsonReport(const EvalFlags& flags, const Model& model, const EvalReport& report) {
  Json json = {
      {"model", model.info().directory}, {"dataset", flags.dataset}, {"threads", model.threads()}};
  json.update(ScoreJson(report.score));
  json["tasks"] = Json::array();
  for (const EvalTask& task : report.tasks) {
    Json entry = NamedScoreJson("task", task.name, task.score);
    entry["groups"] = Json::array();
    for (const EvalGroup& group : task.groups) {
      entry["groups"].push_back(NamedScoreJson("group", group.name, group.score));
    }
    json["tasks"].push_back(std::move(entry));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<EvalReport> Ask(const std::shared_ptr<const Model>& model,
                       const std::vector<EvalQuestion>& questions, const EvalFlags& flags) {
  ProgressLine progress("Asking  ");
  const EvalOptions options{flags.image.image, flags.image.encode, flags.generate};
  return RunEval(model, questions, options, [&](double done) { progress.Update(done); });
}

Status Evaluate(const EvalFlags& flags) {
  // The questions first: their mistakes show before anything long begins.
  const Result<std::vector<EvalQuestion>> questions = ReadQuestions(flags.dataset, flags.limit);
  if (!questions.ok()) return questions.status();
  const Result<std::shared_ptr<const Model>> model = LoadModel(flags.model);
  if (!model.ok()) return model.status();
  const Result<EvalReport> report = Ask(*model, *questions, flags);
  if (!report.ok()) return report.status();
  const std::string output = flags.json ? JsonReport(flags, **model, *report) : Table(*report);
  WriteText(flags.json ? TerminalJson(output) : output);
  if (!FlushOutput()) {
    return Status(StatusCode::kIoError, "standard output: cannot write; is the disk full?");
  }
  return flags.failures.empty() ? Status() : WriteFailures(flags.failures, report->failures);
}

int Run(const EvalFlags& flags) {
  const Status status = Evaluate(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

}  // namespace

CommandFn AddEval(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  app.footer(
      "DATASET is a file of JSON lines, or a directory with such a file called questions.jsonl:\n"
      "  {\"image\": \"cat.png\", \"question\": \"What is this?\", \"answer\": \"A cat.\", "
      "\"task\": \"naming\", \"group\": \"indoors\"}\n"
      "Images are relative to the file; task and group may be left out. An answer is right if it "
      "is the\n"
      "expected one but for case, spaces at its ends and a final period.\n"
      "\n"
      "Examples:\n"
      "  fastvlm eval questions.jsonl\n"
      "  fastvlm eval --model FastVLM-0.5B --limit 100 --json --failures wrong.jsonl dataset");
  app.add_option("DATASET", flags->dataset, "File or directory of questions")->required();
  AddModelFlags(app, flags->model);
  AddImageFlags(app, flags->image);
  AddGenerateFlags(app, flags->generate);
  app.add_option("--limit", flags->limit, "Ask only the first N questions; 0 means all")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--failures", flags->failures, "Write wrong answers to this file as JSON lines")
      ->type_name("FILE");
  app.add_flag("--json", flags->json, "One JSON object instead of the table");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
