#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/file.h"
#include "commands.h"
#include "eval/golden.h"
#include "fastvlm/fastvlm.h"
#include "fetched.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kGoldenName = "/golden.json";

struct VerifyFlags {
  ModelFlags model;
  std::string golden;
  std::string image;
  bool json = false;
};

// What the model is checked against: the file of the flag, the one beside the model, or what was
// published for a model of its shapes.
Result<Golden> ChooseGolden(const VerifyFlags& flags, const ModelInfo& info) {
  if (!flags.golden.empty()) return ReadGolden(flags.golden, GoldenImages::kAnywhere);
  const std::string beside = info.directory + kGoldenName;
  if (PathExists(beside)) return ReadGolden(beside, GoldenImages::kBesideTheFile);
  if (std::optional<Golden> golden = PublishedGolden(info)) return *std::move(golden);
  return Status(
      StatusCode::kNotFound,
      fmt::format("{}: nobody has published values for this model (hidden {}, {} layers), "
                  "only for Apple's FastVLM-0.5B, 1.5B and 7B; --golden FILE checks "
                  "against values of your own",
                  info.directory, info.hidden, info.layers));
}

// The path of a picture, fetched if it has a URL.
Result<std::string> LocalImage(const std::string& image) {
  const bool is_url = image.starts_with("http://") || image.starts_with("https://");
  return is_url ? FetchedPicture(image) : image;
}

struct Checked {
  std::vector<GoldenResult> results;
  bool passed = true;
};

Result<Checked> CheckAll(const VerifyFlags& flags, const Golden& golden,
                         const std::shared_ptr<const Model>& model) {
  std::map<std::string, Image> images;
  Checked checked;
  ProgressLine progress("Checking");
  for (const GoldenCheck& check : golden.checks) {
    const Image* image = nullptr;
    if (!check.image.empty()) {
      const Result<std::string> path =
          flags.image.empty() ? LocalImage(check.image) : Result<std::string>(flags.image);
      if (!path.ok()) return path.status();
      if (!images.contains(*path)) {
        Result<Image> read = Image::FromFile(*path);
        if (!read.ok()) return read.status();
        images.emplace(*path, std::move(read).value());
      }
      image = &images.at(*path);
    }
    Result<std::vector<GoldenResult>> results =
        RunGoldenCheck(model, check, image, [&](double done) { progress.Update(done); });
    progress.Clear();
    if (!results.ok()) return results.status();
    for (GoldenResult& result : *results) {
      checked.passed = checked.passed && result.passed;
      checked.results.push_back(std::move(result));
    }
  }
  return checked;
}

void PrintResults(const ModelInfo& info, const Golden& golden, const Checked& checked) {
  Print("{}\nagainst {}: {}\n", info.directory, golden.model, golden.source);
  int missed = 0;
  for (const GoldenResult& result : checked.results) {
    missed += result.passed ? 0 : 1;
    Print("  {}  {}\n        expected {}\n        found    {}\n", result.passed ? "pass" : "MISS",
          result.what, result.expected, result.found);
  }
  if (missed == 0) {
    Print("pass: all {} checks\n", checked.results.size());
  } else {
    Print("MISS: {} of {} checks\n", missed, checked.results.size());
  }
}

void PrintJson(const ModelInfo& info, const Golden& golden, const Checked& checked) {
  Json results = Json::array();
  for (const GoldenResult& result : checked.results) {
    Json entry = {{"check", result.what},
                  {"passed", result.passed},
                  {"expected", result.expected},
                  {"found", result.found}};
    if (result.what.starts_with("logits")) entry["difference"] = result.difference;
    results.push_back(std::move(entry));
  }
  const Json json = {{"model", info.directory},
                     {"golden", golden.model},
                     {"source", golden.source},
                     {"passed", checked.passed},
                     {"checks", std::move(results)}};
  WriteJson(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

Result<bool> Verify(const VerifyFlags& flags) {
  const Result<std::string> directory = ModelDirectory(flags.model.directory);
  if (!directory.ok()) return directory.status();
  // This comes before the weights are loaded, which may turn out to be for nothing.
  const Result<std::string> vision = VisionDirectory(flags.model.options.vision_directory);
  if (!vision.ok()) return vision.status();
  const Result<ModelInfo> info = InspectModel(*directory, *vision);
  if (!info.ok()) return info.status();
  const Result<Golden> golden = ChooseGolden(flags, *info);
  if (!golden.ok()) return golden.status();
  const Result<std::shared_ptr<const Model>> model = LoadModel(flags.model);
  if (!model.ok()) return model.status();
  const Result<Checked> checked = CheckAll(flags, *golden, *model);
  if (!checked.ok()) return checked.status();
  if (flags.json) {
    PrintJson(*info, *golden, *checked);
  } else {
    PrintResults(*info, *golden, *checked);
  }
  return checked->passed;
}

int Run(const VerifyFlags& flags) {
  const Result<bool> passed = Verify(flags);
  if (passed.ok()) return *passed ? kExitOk : kExitFailure;
  PrintError(passed.status());
  return ExitCode(passed.status());
}

}  // namespace

CommandFn AddVerify(CLI::App& app) {
  auto flags = std::make_shared<VerifyFlags>();
  app.footer(
      "Examples:\n"
      "  fastvlm verify --model apple/FastVLM-0.5B\n"
      "  fastvlm verify --model FastVLM-0.5B --image 000000039769.jpg\n"
      "  fastvlm verify --model my-model --golden my-values.json\n"
      "\n"
      "The picture of the published values, image 39769 of COCO val2017, is fetched from\n"
      "images.cocodataset.org unless --image names it. The exit code is 1 if a check misses.");
  AddModelFlags(app, flags->model);
  app.add_option("--golden", flags->golden,
                 "JSON file of expected values (default: golden.json beside the model, else the\n"
                 "published ones); docs/MODELS.md shows one")
      ->type_name("FILE");
  app.add_option("--image", flags->image, "The picture to use in every check that has one")
      ->type_name("FILE");
  app.add_flag("--json", flags->json, "JSON instead of text");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
