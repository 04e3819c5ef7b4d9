#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <string>

#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "terminal.h"

namespace fastvlm {
namespace {

struct QuantizeFlags {
  std::string source;
  std::string directory;
  WeightFormat encoder = WeightFormat::kQ8;
  QuantizeOptions options;
};

// Set by Ctrl-C; the work ends with what was there before.
std::atomic<bool> interrupted = false;

void Interrupt(int) { interrupted.store(true); }

std::string Megabytes(int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

int Run(const QuantizeFlags& flags) {
  const Stopwatch stopwatch;
  ProgressLine line("Writing");
  signal(SIGINT, Interrupt);
  signal(SIGTERM, Interrupt);
  const Result<QuantizeReport> report =
      QuantizeModel(flags.source, flags.directory, flags.options, [&line](double done) {
        line.Update(done);
        return !interrupted.load();
      });
  line.Clear();
  if (!report.ok()) {
    PrintError(report.status().message());
    return ExitCode(report.status());
  }
  int64_t bytes = 0;
  for (const QuantizedFile& file : report->files) {
    fmt::print("{}  {}\n", file.path, Megabytes(file.bytes));
    bytes += file.bytes;
  }
  fmt::print(stderr, "{} from {}, {:.0f} % of it, in {:.1f} s\n", Megabytes(bytes),
             Megabytes(report->source_bytes),
             100.0 * static_cast<double>(bytes) / static_cast<double>(report->source_bytes),
             stopwatch.Milliseconds() / 1000);
  return kExitOk;
}

}  // namespace

CommandFn AddQuantize(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  app.footer(
      "Writes OUT_DIR/model.gguf, the language model, which llama.cpp reads as well, and\n"
      "OUT_DIR/mmproj.gguf, the image encoder. Both take their names when both are complete.\n"
      "\n"
      "Examples:\n"
      "  fastvlm quantize FastVLM-0.5B FastVLM-0.5B-q8\n"
      "  fastvlm quantize FastVLM-0.5B FastVLM-0.5B-q4 --type q4\n"
      "  fastvlm describe --model FastVLM-0.5B-q8 photo.jpg");
  app.add_option("SRC", flags->source, "Directory of a FastVLM checkpoint")->required();
  app.add_option("OUT_DIR", flags->directory, "Directory to write into; made if it is not there")
      ->required();
  static const std::map<std::string, WeightFormat> kTypes = {{"f32", WeightFormat::kF32},
                                                             {"bf16", WeightFormat::kBf16},
                                                             {"f16", WeightFormat::kF16},
                                                             {"q8", WeightFormat::kQ8},
                                                             {"q4", WeightFormat::kQ4}};
  app.add_option("--type", flags->options.type, "How weights are stored: q8, q4, bf16, f16 or f32")
      ->transform(CLI::CheckedTransformer(kTypes).description(""))
      ->type_name("TYPE")
      ->default_str("q8");
  static const std::map<std::string, WeightFormat> kEncoderTypes = {{"f32", WeightFormat::kF32},
                                                                    {"bf16", WeightFormat::kBf16},
                                                                    {"f16", WeightFormat::kF16},
                                                                    {"q8", WeightFormat::kQ8}};
  const CLI::Option* encoder =
      app.add_option("--encoder", flags->encoder,
                     "The same for the image encoder: q8, bf16, f16 or f32\n"
                     "(default: as --type, and q8 with q4)")
          ->transform(CLI::CheckedTransformer(kEncoderTypes).description(""))
          ->type_name("TYPE");
  AddVisionFlag(app, flags->options.vision_directory);
  app.add_flag("--force", flags->options.overwrite, "Replace files that are there already");
  app.add_option("-t,--threads", flags->options.threads,
                 "Threads; 0 means one for each physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  return [flags, encoder] {
    if (encoder->count() > 0) flags->options.encoder = flags->encoder;
    return Run(*flags);
  };
}

}  // namespace fastvlm
