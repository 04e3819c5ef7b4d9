#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

using Json = nlohmann::ordered_json;

struct CompareFlags {
  ModelFlags model;
  std::string candidate_model;  // empty: the same as the reference's
  std::string candidate_vision;
  Precision candidate = Precision::kQ8;
  ImageFlags image;
  CompareOptions options;
  std::vector<std::string> inputs;
  bool json = false;
};

std::string Described(const Model& model) {
  return fmt::format("{} of {} ({}), weights {:.1f} MB", PrecisionName(model.info().precision),
                     model.info().directory, model.info().dtype,
                     static_cast<double>(model.info().weight_bytes) / 1e6);
}

void PrintComparison(const Comparison& comparison, const CompareFlags& flags,
                     const Model& reference, const Model& candidate) {
  Print("reference  {}\ncandidate  {}\n\n", Described(reference), Described(candidate));
  Print("{:<15}{:>14}{:>14}\n", "after", "relative RMS", "relative max");
  for (const StageError& stage : comparison.stages) {
    Print("{:<15}{:>14.3e}{:>14.3e}\n", stage.name, stage.relative_rms, stage.relative_max);
  }
  Print("\n{:<28}{:>9}{:>12}{:>12}{:>10}{:>12}{:>12}\n", "picture", "visual", "cosine mean",
        "worst", "answer", "same top-1", "");
  for (size_t i = 0; i < comparison.pictures.size(); ++i) {
    const PictureComparison& picture = comparison.pictures[i];
    Print("{:<28}{:>9}{:>12.6f}{:>12.6f}{:>10}{:>12}  {}\n", flags.inputs[i], picture.visual_tokens,
          picture.cosine_mean, picture.cosine_worst, picture.answer_tokens, picture.agreed,
          picture.answer);
  }
  Print("\nvisual-token cosine      mean {:.6f}, worst {:.6f}\n", CosineMean(comparison),
        CosineWorst(comparison));
  Print("top-1 agreement          {:.2f} % of the answers' tokens\n",
        100 * Top1Agreement(comparison));
  Print("perplexity of answers    reference {:.4f}, candidate {:.4f}\n",
        ReferencePerplexity(comparison), CandidatePerplexity(comparison));
}

Json ModelJson(const Model& model) {
  return {{"directory", model.info().directory},
          {"layout", model.info().layout},
          {"dtype", model.info().dtype},
          {"precision", PrecisionName(model.info().precision)},
          {"weight_bytes", model.info().weight_bytes}};
}

void PrintJson(const Comparison& comparison, const CompareFlags& flags, const Model& reference,
               const Model& candidate) {
  Json stages = Json::array(), pictures = Json::array();
  for (const StageError& stage : comparison.stages) {
    stages.push_back({{"after", stage.name},
                      {"relative_rms", stage.relative_rms},
                      {"relative_max", stage.relative_max}});
  }
  for (size_t i = 0; i < comparison.pictures.size(); ++i) {
    const PictureComparison& picture = comparison.pictures[i];
    pictures.push_back({{"file", flags.inputs[i]},
                        {"visual_tokens", picture.visual_tokens},
                        {"cosine_mean", picture.cosine_mean},
                        {"cosine_worst", picture.cosine_worst},
                        {"answer", picture.answer},
                        {"answer_tokens", picture.answer_tokens},
                        {"agreed", picture.agreed},
                        {"reference_log_probability", picture.reference_log_probability},
                        {"candidate_log_probability", picture.candidate_log_probability}});
  }
  const Json json = {{"reference", ModelJson(reference)},
                     {"candidate", ModelJson(candidate)},
                     {"prompt", flags.options.prompt},
                     {"stages", stages},
                     {"cosine_mean", CosineMean(comparison)},
                     {"cosine_worst", CosineWorst(comparison)},
                     {"top1_agreement", Top1Agreement(comparison)},
                     {"reference_perplexity", ReferencePerplexity(comparison)},
                     {"candidate_perplexity", CandidatePerplexity(comparison)},
                     {"pictures", pictures}};
  WriteJson(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

Status Compare(const CompareFlags& flags) {
  std::vector<Image> images;
  for (const std::string& path : flags.inputs) {
    Result<Image> image = Image::FromFile(path, flags.image.image);
    if (!image.ok()) return image.status();
    images.push_back(*std::move(image));
  }
  const Result<std::shared_ptr<const Model>> reference = LoadModel(flags.model);
  if (!reference.ok()) return reference.status();
  ModelFlags candidate_flags = flags.model;
  candidate_flags.options.precision = flags.candidate;
  if (!flags.candidate_model.empty()) {
    candidate_flags.directory = flags.candidate_model;
    candidate_flags.options.vision_directory = flags.candidate_vision;
  }
  const Result<std::shared_ptr<const Model>> candidate = LoadModel(candidate_flags);
  if (!candidate.ok()) return candidate.status();

  CompareOptions options = flags.options;
  options.encode = flags.image.encode;
  ProgressLine progress("Comparing");
  const Result<Comparison> comparison = CompareModels(**reference, **candidate, images, options,
                                                      [&](double done) { progress.Update(done); });
  progress.Clear();
  if (!comparison.ok()) return comparison.status();
  if (flags.json) {
    PrintJson(*comparison, flags, **reference, **candidate);
  } else {
    PrintComparison(*comparison, flags, **reference, **candidate);
  }
  return {};
}

int Run(const CompareFlags& flags) {
  const Status status = Compare(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

void AddPrecisionFlag(CLI::App& app, const char* flag, Precision& precision, const char* help) {
  app.add_option_function<std::string>(
         flag, [&precision](const std::string& name) { precision = ParsePrecision(name); }, help)
      ->type_name("TYPE")
      ->default_str(PrecisionName(precision));
}

}  // namespace

CommandFn AddCompare(CLI::App& app) {
  auto flags = std::make_shared<CompareFlags>();
  app.footer(
      "Both forms of the model are in memory at once. Errors after each stage are of all values "
      "of all\n"
      "pictures; the answer is the reference's greedy one, which the candidate reads along.\n"
      "\n"
      "Examples:\n"
      "  fastvlm compare --candidate q4 photo.jpg chart.png\n"
      "  fastvlm compare --model FastVLM-0.5B --candidate q8 --json *.jpg\n"
      "  fastvlm compare --model FastVLM-0.5B --candidate-model FastVLM-0.5B-8bit --candidate f32 "
      "photo.jpg");
  app.add_option("IMAGES", flags->inputs, "Pictures")->required();
  AddModelFlags(app, flags->model);
  app.remove_option(app.get_option("--precision"));
  flags->model.options.precision = Precision::kF32;
  AddPrecisionFlag(app, "--reference", flags->model.options.precision,
                   "Precision of the reference: f32, bf16, q8, q4 or auto");
  AddPrecisionFlag(app, "--candidate", flags->candidate,
                   "Precision that is compared with it: f32, bf16, q8, q4 or auto");
  app.add_option("--candidate-model", flags->candidate_model,
                 "Directory or name of another form of the same model, quantized for example\n"
                 "(default: that of --model)")
      ->type_name("MODEL");
  app.add_option("--candidate-vision", flags->candidate_vision,
                 "What --vision is for --model, for --candidate-model")
      ->type_name("MODEL");
  AddImageFlags(app, flags->image);
  app.add_option("--prompt", flags->options.prompt, "What is asked about each picture")
      ->capture_default_str();
  app.add_option("--max-tokens", flags->options.max_tokens, "Longest answer, in tokens")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_flag("--json", flags->json, "JSON instead of text");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
