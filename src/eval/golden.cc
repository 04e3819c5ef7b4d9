#include "eval/golden.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kMaxGoldenBytes = size_t{64} << 20;
constexpr int kMaxSide = 1 << 16;
constexpr int64_t kMaxTokens = 1 << 20;

// Image 39769 of COCO val2017, two cats on a pink couch, 640 x 480.
constexpr const char* kCatsUrl = "http://images.cocodataset.org/val2017/000000039769.jpg";

// The first three logits after "<image>\nWhat are these?", from the weight converter of
// transformers' fast_vlm. It ran in bf16 on a GPU. bf16 keeps 8 bits of a number, so the rounding
// of 24 to 28 layers lies between these logits and those of f32.
struct PublishedLogits {
  const char* model;
  int64_t hidden;
  int64_t layers;
  float first[3];
};
constexpr PublishedLogits kPublished[] = {{"FastVLM-0.5B", 896, 24, {4.1250f, 9.6875f, 11.1875f}},
                                          {"FastVLM-1.5B", 1536, 28, {3.3750f, 11.5000f, 11.8125f}},
                                          {"FastVLM-7B", 3584, 28, {3.8281f, 9.0625f, 7.9062f}}};
constexpr double kPublishedTolerance = 0.25;
constexpr int64_t kPublishedTokens = 280;  // 256 of the picture
constexpr int kPublishedSide = 1024;

bool IsUrl(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

Result<Fit> ReadFit(const JsonFields& fields) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string name, fields.StringOr("fit", "pad"));
  if (name == "pad") return Fit::kPad;
  if (name == "crop") return Fit::kCrop;
  if (name == "stretch") return Fit::kStretch;
  return fields.Wrong("fit", "pad, crop or stretch");
}

Status ReadLogits(const JsonFields& fields, GoldenCheck* check) {
  const json* logits = fields.Find("logits");
  if (logits == nullptr) return {};
  if (!logits->is_object()) return fields.Wrong("logits", "an object of token ids and numbers");
  std::map<int32_t, float> by_id;
  for (const auto& [key, value] : logits->items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || !value.is_number() ||
        !std::isfinite(value.get<double>())) {
      return fields.Wrong("logits", "an object of token ids and numbers");
    }
    by_id[id] = static_cast<float>(value.get<double>());
  }
  for (const auto& [id, value] : by_id) {
    check->logit_ids.push_back(id);
    check->logits.push_back(value);
  }
  FASTVLM_ASSIGN_OR_RETURN(check->tolerance, fields.PositiveOr("tolerance", 0));
  return check->tolerance > 0 ? Status() : fields.Wrong("tolerance", "a positive number");
}

Status ReadAnswer(const JsonFields& fields, GoldenCheck* check) {
  FASTVLM_ASSIGN_OR_RETURN(const int64_t tokens, fields.IntegerOr("max_tokens", 1, kMaxTokens, 0));
  check->max_tokens = static_cast<int>(tokens);
  const json* ids = fields.Find("token_ids");
  const json* contains = fields.Find("contains");
  if (ids != nullptr) {
    if (!ids->is_array()) return fields.Wrong("token_ids", "a list of token ids");
    for (const json& id : *ids) {
      if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
        return fields.Wrong("token_ids", "a list of token ids");
      }
      check->token_ids.push_back(id.get<int32_t>());
    }
  }
  if (contains != nullptr) {
    if (!contains->is_array()) return fields.Wrong("contains", "a list of texts");
    for (const json& text : *contains) {
      if (!text.is_string()) return fields.Wrong("contains", "a list of texts");
      check->contains.push_back(text.get<std::string>());
    }
  }
  if ((check->max_tokens > 0) != (ids != nullptr || contains != nullptr)) {
    return fields.Wrong("max_tokens", "there with token_ids or contains, and only then");
  }
  return {};
}

// Whether `image`, relative to `directory`, leads to no place outside of it, by its text or by
// symbolic links.
bool IsInside(const std::filesystem::path& directory, const std::string& image) {
  const std::filesystem::path relative = image;
  if (relative.is_absolute() || image.find('\0') != std::string::npos) return false;
  for (const auto& step : relative) {
    if (step == "..") return false;
  }
  std::error_code error;
  const auto root = std::filesystem::canonical(directory.empty() ? "." : directory, error);
  if (error) return false;
  const auto full = std::filesystem::weakly_canonical(root / relative, error);
  if (error) return false;
  return std::mismatch(root.begin(), root.end(), full.begin(), full.end()).first == root.end();
}

// The path or URL of a check's picture.
Result<std::string> ImageOf(const JsonFields& fields, const std::string& path,
                            GoldenImages images) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string image, fields.StringOr("image", ""));
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (image.empty()) return image;
  if (images == GoldenImages::kBesideTheFile && (IsUrl(image) || !IsInside(directory, image))) {
    return fields.Wrong("image",
                        "a picture in the directory of this file, since the file came with the "
                        "model (--golden names a file of your own, --image a picture)");
  }
  return IsUrl(image) ? image : (directory / image).string();
}

Result<GoldenCheck> ReadCheck(const json& object, const std::string& path, size_t index,
                              GoldenImages images) {
  if (!object.is_object()) {
    return Error(StatusCode::kDataError, "{}: checks[{}] must be an object, found {}", path, index,
                 JsonText(object));
  }
  const JsonFields fields(object, path, fmt::format("checks[{}].", index));
  GoldenCheck check;
  FASTVLM_ASSIGN_OR_RETURN(check.prompt, fields.StringOr("prompt", ""));
  if (check.prompt.empty()) return fields.Wrong("prompt", "a text that is not empty");
  FASTVLM_ASSIGN_OR_RETURN(check.image, ImageOf(fields, path, images));
  FASTVLM_ASSIGN_OR_RETURN(check.encode.fit, ReadFit(fields));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t width, fields.IntegerOr("width", 0, kMaxSide, 0));
  FASTVLM_ASSIGN_OR_RETURN(const int64_t height, fields.IntegerOr("height", 0, kMaxSide, 0));
  check.encode.width = static_cast<int>(width);
  check.encode.height = static_cast<int>(height);
  FASTVLM_ASSIGN_OR_RETURN(check.prompt_tokens,
                           fields.IntegerOr("prompt_tokens", 1, kMaxTokens, 0));
  FASTVLM_RETURN_IF_ERROR(ReadLogits(fields, &check));
  FASTVLM_RETURN_IF_ERROR(ReadAnswer(fields, &check));
  if (check.logits.empty() && check.max_tokens == 0 && check.prompt_tokens == 0) {
    return Error(StatusCode::kDataError,
                 "{}: checks[{}] checks nothing; expected logits or contains", path, index);
  }
  return check;
}

std::string Numbers(const std::vector<float>& values) {
  std::string text;
  for (float value : values) text += fmt::format("{}{:.4f}", text.empty() ? "" : " ", value);
  return text;
}

Result<GoldenResult> CompareLogits(const GoldenCheck& check, const PromptLogits& logits) {
  GoldenResult result;
  result.what =
      fmt::format("logits {} after {}", fmt::join(check.logit_ids, ", "), Quoted(check.prompt));
  std::vector<float> found;
  for (size_t i = 0; i < check.logits.size(); ++i) {
    const size_t id = static_cast<size_t>(check.logit_ids[i]);
    if (id >= logits.values.size()) {
      return Error(StatusCode::kDataError, "logit {} is asked for, the model has {} tokens", id,
                   logits.values.size());
    }
    found.push_back(logits.values[id]);
    const double difference = std::abs(double{found.back()} - double{check.logits[i]});
    // Not a number counts as the worst there is.
    result.difference = difference <= result.difference ? result.difference
                        : std::isnan(difference)        ? INFINITY
                                                        : difference;
  }
  result.passed = result.difference <= check.tolerance;
  result.expected = fmt::format("{} within {:.3g}", Numbers(check.logits), check.tolerance);
  result.found = fmt::format("{}, largest difference {:.3g}", Numbers(found), result.difference);
  return result;
}

GoldenResult CompareAnswer(const GoldenCheck& check, const Answer& answer) {
  GoldenResult result;
  result.what = "answer to " + Quoted(check.prompt);
  result.found = Quoted(answer.text);
  result.passed = std::all_of(
      check.contains.begin(), check.contains.end(),
      [&](const std::string& text) { return answer.text.find(text) != std::string::npos; });
  for (const std::string& text : check.contains) {
    result.expected += (result.expected.empty() ? "it contains " : ", ") + Quoted(text);
  }
  if (!check.token_ids.empty()) {
    const auto [found, expected] = std::mismatch(answer.token_ids.begin(), answer.token_ids.end(),
                                                 check.token_ids.begin(), check.token_ids.end());
    if (found != answer.token_ids.end() || expected != check.token_ids.end()) {
      result.passed = false;
      result.found += fmt::format(", another token at place {} of {}",
                                  expected - check.token_ids.begin() + 1, check.token_ids.size());
    }
    result.expected +=
        fmt::format("{}{} token ids", result.expected.empty() ? "" : ", ", check.token_ids.size());
  }
  return result;
}

}  // namespace

Result<Golden> ReadGolden(const std::string& path, GoldenImages images) {
  FASTVLM_ASSIGN_OR_RETURN(const json object, ReadJsonObject(path, kMaxGoldenBytes));
  const JsonFields fields(object, path);
  Golden golden;
  FASTVLM_ASSIGN_OR_RETURN(golden.model, fields.StringOr("model", "the model"));
  FASTVLM_ASSIGN_OR_RETURN(golden.source, fields.StringOr("source", path));
  const json* checks = fields.Find("checks");
  if (checks == nullptr || !checks->is_array() || checks->empty()) {
    return fields.Wrong("checks", "a list that is not empty");
  }
  for (size_t i = 0; i < checks->size(); ++i) {
    FASTVLM_ASSIGN_OR_RETURN(GoldenCheck check, ReadCheck((*checks)[i], path, i, images));
    golden.checks.push_back(std::move(check));
  }
  return golden;
}

std::optional<Golden> PublishedGolden(const ModelInfo& info) {
  const auto found = std::find_if(std::begin(kPublished), std::end(kPublished), [&](const auto& p) {
    return p.hidden == info.hidden && p.layers == info.layers && info.image_size == kPublishedSide;
  });
  if (found == std::end(kPublished)) return std::nullopt;
  Golden golden;
  golden.model = found->model;
  golden.source = "the weight converter and tests of transformers' fast_vlm: bf16 on a GPU";
  GoldenCheck logits;
  logits.image = kCatsUrl;
  logits.prompt = "What are these?";
  logits.encode = {kPublishedSide, kPublishedSide, Fit::kCrop};
  logits.prompt_tokens = kPublishedTokens;
  logits.logit_ids = {0, 1, 2};
  logits.logits.assign(std::begin(found->first), std::end(found->first));
  logits.tolerance = kPublishedTolerance;
  golden.checks.push_back(logits);
  // Published for the smallest model only: "The image depicts two cats, one of which is a tabby,
  // lying on a pink surface". Rounding may change a word of it, but not what is in the picture.
  if (found == std::begin(kPublished)) {
    GoldenCheck words;
    words.image = kCatsUrl;
    words.prompt = "What is this?";
    words.encode = logits.encode;
    words.max_tokens = 20;
    words.contains = {"two cats"};
    golden.checks.push_back(words);
  }
  return golden;
}

Result<std::vector<GoldenResult>> RunGoldenCheck(const std::shared_ptr<const Model>& model,
                                                 const GoldenCheck& check, const Image* image,
                                                 const ProgressFn& progress) {
  UserTurn turn;
  turn.text = check.prompt;
  turn.encode = check.encode;
  if (image != nullptr) turn.images.push_back(*image);
  std::vector<GoldenResult> results;
  if (!check.logits.empty() || check.prompt_tokens > 0) {
    FASTVLM_ASSIGN_OR_RETURN(const PromptLogits logits,
                             ComputePromptLogits(*model, turn, progress));
    if (check.prompt_tokens > 0) {
      results.push_back({logits.prompt_tokens == check.prompt_tokens,
                         "tokens of the prompt " + Quoted(check.prompt),
                         fmt::format("{}", check.prompt_tokens),
                         fmt::format("{}", logits.prompt_tokens), 0});
    }
    if (!check.logits.empty()) {
      FASTVLM_ASSIGN_OR_RETURN(GoldenResult result, CompareLogits(check, logits));
      results.push_back(std::move(result));
    }
  }
  if (check.max_tokens > 0) {
    FASTVLM_ASSIGN_OR_RETURN(Session session, Session::Create(model));
    GenerateOptions options;
    options.max_tokens = check.max_tokens;
    const auto report = [&](AskPhase phase, double done) {
      if (progress && phase == AskPhase::kEncode) progress(done);
    };
    FASTVLM_ASSIGN_OR_RETURN(const Answer answer, session.Ask(turn, options, {}, report));
    results.push_back(CompareAnswer(check, answer));
  }
  return results;
}

}  // namespace fastvlm
