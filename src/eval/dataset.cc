#include "eval/dataset.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/file.h"
#include "base/json.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxDatasetBytes = size_t{1} << 30;
constexpr std::string_view kImagePlaceholder = "<image>";

struct Field {
  const char* name;
  std::string EvalQuestion::*value;
  bool required;
};
constexpr Field kFields[] = {{"image", &EvalQuestion::image, true},
                             {"question", &EvalQuestion::question, true},
                             {"answer", &EvalQuestion::answer, true},
                             {"task", &EvalQuestion::task, false},
                             {"group", &EvalQuestion::group, false}};

Result<EvalQuestion> ParseLine(std::string_view line, const std::string& source,
                               const std::filesystem::path& directory) {
  FASTVLM_ASSIGN_OR_RETURN(const nlohmann::json object, ParseJsonObject(line, source));
  EvalQuestion question;
  question.source = source;
  for (const Field& field : kFields) {
    const nlohmann::json* value = FindMember(object, field.name);
    if (value == nullptr && !field.required) continue;
    if (value != nullptr && value->is_string()) question.*field.value = value->get<std::string>();
    if (value == nullptr || !value->is_string() ||
        (field.required && (question.*field.value).empty())) {
      return Error(StatusCode::kDataError, "{}: \"{}\" must be a {}, found {}", source, field.name,
                   field.required ? "string that is not empty" : "string",
                   value == nullptr ? "nothing" : JsonText(*value));
    }
  }
  const size_t first = question.question.find(kImagePlaceholder);
  if (first != std::string::npos &&
      question.question.find(kImagePlaceholder, first + 1) != std::string::npos) {
    return Error(StatusCode::kDataError,
                 "{}: \"question\" has more than one {}, but a line has one", source,
                 kImagePlaceholder);
  }
  const std::filesystem::path image = directory / question.image;
  question.image = image.string();
  if (!FileExists(question.image)) {
    return Error(StatusCode::kDataError,
                 "{}: there is no image {}; paths are relative to the file of questions", source,
                 question.image);
  }
  return question;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

Result<std::vector<EvalQuestion>> ReadQuestions(const std::string& path, size_t limit) {
  std::filesystem::path file = path;
  if (DirectoryExists(path)) file /= "questions.jsonl";
  FASTVLM_ASSIGN_OR_RETURN(const std::string text,
                           ReadTextFile(file.string(), kMaxDatasetBytes, FileKind::kAny));
  std::vector<EvalQuestion> questions;
  size_t number = 0;
  for (size_t start = 0; start < text.size() && (limit == 0 || questions.size() < limit);) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    ++number;
    if (IsBlank(line)) continue;
    const std::string source = fmt::format("{}:{}", file.string(), number);
    FASTVLM_ASSIGN_OR_RETURN(EvalQuestion question, ParseLine(line, source, file.parent_path()));
    questions.push_back(std::move(question));
  }
  if (questions.empty()) {
    return Error(StatusCode::kDataError,
                 "{}: no questions; expected one JSON object on each line, with \"image\", "
                 "\"question\" and \"answer\"",
                 file.string());
  }
  return questions;
}

}  // namespace fastvlm
