#include <memory>
#include <string>

#include "text/tokenizer.h"
#include "train/commands.h"
#include "train/trainer/trainer.h"
#include "train/trainer/write_model.h"

namespace fastvlm::train {
namespace {

struct ExportArguments {
  std::string recipe, art, tokenizer, output;
  std::string precision = "f16";
  RunOptions run;
};

Status RunExport(const ExportArguments& arguments) {
  FASTVLM_ASSIGN_OR_RETURN(const Recipe recipe, ReadRecipe(arguments.recipe));
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(arguments.art));
  FASTVLM_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(arguments.tokenizer));
  FASTVLM_ASSIGN_OR_RETURN(const auto trainer,
                           Trainer::Open(recipe, art, tokenizer, arguments.run));
  const auto precision =
      arguments.precision == "f32" ? ExportPrecision::kF32 : ExportPrecision::kF16;
  FASTVLM_RETURN_IF_ERROR(
      WriteModel(trainer->network(), tokenizer, arguments.tokenizer, precision, arguments.output));
  fmt::print(stderr, "{}: the model after {} steps, {} pictures\n", arguments.output,
             trainer->progress().total_steps, trainer->progress().pictures);
  return {};
}

}  // namespace

CommandFn AddExport(CLI::App& app) {
  auto arguments = std::make_shared<ExportArguments>();
  app.add_option("--recipe", arguments->recipe, "The recipe of the run")->required();
  app.add_option("--art", arguments->art, "Art cache of the run")->required();
  app.add_option("--tokenizer", arguments->tokenizer, "Directory of its tokenizer")->required();
  app.add_option("--run", arguments->run.directory, "Directory of the run")->required();
  app.add_option("--output", arguments->output, "Directory to write")->required();
  app.add_option("--precision", arguments->precision, "Of matrices and convolutions")
      ->check(CLI::IsMember({"f16", "f32"}))
      ->capture_default_str();
  app.footer(
      "Example:\n"
      "  fastvlm-train export --recipe train/recipes/nano.json --art build/art/art.cache \\\n"
      "    --tokenizer models/nano --run build/nano --output models/nano");
  return [arguments] { return RunExport(*arguments); };
}

}  // namespace fastvlm::train
