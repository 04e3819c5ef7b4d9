#include <fmt/format.h>

#include <string>

#include "base/stopwatch.h"
#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "npy.h"
#include "terminal.h"

namespace fastvlm {
namespace {

struct EncodeFlags {
  ModelFlags model;
  ImageFlags image;
  std::string input;
  std::string output;
  bool features = false;
};

Status Encode(const EncodeFlags& flags) {
  Result<Image> image = flags.input == "-" ? Image::FromStandardInput(flags.image.image)
                                           : Image::FromFile(flags.input, flags.image.image);
  if (!image.ok()) return image.status();
  Result<std::shared_ptr<const Model>> model = LoadModel(flags.model);
  if (!model.ok()) return model.status();
  const Stopwatch stopwatch;
  ProgressLine encoding("Encoding");
  const auto progress = [&](double done) { encoding.Update(done); };
  Result<Matrix> tokens = flags.features
                              ? (*model)->EncodeFeatures(*image, flags.image.encode, progress)
                              : (*model)->EncodeVisualTokens(*image, flags.image.encode, progress);
  encoding.Clear();
  if (!tokens.ok()) return tokens.status();
  const double milliseconds = stopwatch.Milliseconds();
  Status status = WriteNpy(flags.output, *tokens);
  if (!status.ok()) return status;
  Say("{}: {} tokens of {} values, encoded in {:.0f} ms\n", flags.output, tokens->rows,
      tokens->columns, milliseconds);
  return {};
}

int Run(const EncodeFlags& flags) {
  const Status status = Encode(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

}  // namespace

CommandFn AddEncode(CLI::App& app) {
  auto flags = std::make_shared<EncodeFlags>();
  app.footer(
      "Examples:\n"
      "  fastvlm encode picture.png --output tokens.npy\n"
      "  fastvlm encode --model FastVLM-0.5B --features --resolution 512 photo.jpg --output "
      "features.npy");
  app.add_option("IMAGE", flags->input, "A picture; '-' reads it from standard input")->required();
  app.add_option("-o,--output", flags->output, "File to write: float32, [tokens, hidden]")
      ->type_name("F.npy")
      ->required();
  AddModelFlags(app, flags->model);
  AddImageFlags(app, flags->image);
  app.add_flag("--features", flags->features, "The encoder's features, before the projector");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
