#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <optional>
#include <string>

#include "base/stopwatch.h"
#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
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
std::atomic<bool> stop_requested = false;

void RequestStop(int) { stop_requested.store(true); }

const char* Label(QuantizeStep step) {
  switch (step) {
    case QuantizeStep::kCalibrating:
      return "Calibrating";
    case QuantizeStep::kWriting:
      return "Writing";
    case QuantizeStep::kChecking:
      return "Checking";
  }
  return "";
}

// A progress line for each step.
class StepLines {
 public:
  void Update(QuantizeStep step, double done) {
    if (!line_ || step != step_) {
      Clear();
      step_ = step;
      line_.emplace(Label(step));
    }
    line_->Update(done);
  }
  void Clear() { line_.reset(); }

 private:
  QuantizeStep step_ = QuantizeStep::kWriting;
  std::optional<ProgressLine> line_;
};

void PrintCalibrationReport(const Calibration& calibration) {
  Print("visual-token cosine  mean {:.6f}, worst {:.6f} on {} pictures; all in q8 {:.6f}\n",
        calibration.cosine_mean, calibration.cosine_worst, calibration.pictures,
        calibration.cosine_quantized);
  if (calibration.kept.empty()) {
    Print("kept in bf16         nothing: q8 reaches the target {}\n", calibration.target);
    return;
  }
  Print("kept in bf16         {} matrices for the target {}; lost by each alone:\n",
        calibration.kept.size(), calibration.target);
  for (const Calibration::Kept& kept : calibration.kept) {
    Print("  {:<44}{:.2e}\n", kept.tensor, kept.loss);
  }
}

Result<QuantizeReport> Quantize(const QuantizeFlags& flags) {
  const Result<std::string> source = ModelDirectory(flags.source);
  if (!source.ok()) return source.status();
  const Result<std::string> vision = VisionDirectory(flags.options.vision_directory);
  if (!vision.ok()) return vision.status();
  QuantizeOptions options = flags.options;
  options.vision_directory = *vision;
  StepLines lines;
  signal(SIGINT, RequestStop);
  signal(SIGTERM, RequestStop);
  return QuantizeModel(*source, flags.directory, options, [&lines](QuantizeStep step, double done) {
    lines.Update(step, done);
    return !stop_requested.load();
  });
}

int Run(const QuantizeFlags& flags) {
  const Stopwatch stopwatch;
  const Result<QuantizeReport> report = Quantize(flags);
  if (!report.ok()) {
    PrintError(NameFlag(report.status(), "target", "--target"));
    return ExitCode(report.status());
  }
  for (const std::string& warning : report->warnings) PrintWarning(WithFlagNames(warning));
  int64_t bytes = 0;
  for (const QuantizedFile& file : report->files) {
    Print("{}  {}\n", file.path, Megabytes(file.bytes));
    bytes += file.bytes;
  }
  if (report->calibration) PrintCalibrationReport(*report->calibration);
  Say("{} from {}, {:.0f} % of it, in {:.1f} s\n", Megabytes(bytes),
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
      "  fastvlm quantize FastVLM-0.5B FastVLM-0.5B-q8 --calibrate photo.jpg chart.png page.png\n"
      "  fastvlm describe --model FastVLM-0.5B-q8 photo.jpg");
  app.add_option("SRC", flags->source,
                 "Directory of a FastVLM checkpoint, or the name of a fetched model")
      ->required();
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
  CLI::Option* calibrate =
      app.add_option("--calibrate", flags->options.calibrate,
                     "Pictures to measure the image encoder's loss on. As few of its matrices as\n"
                     "needed, those that lose most, stay in bf16 until --target is reached")
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
          ->type_name("IMAGES");
  app.add_option("--target", flags->options.target,
                 "Mean cosine between the visual tokens and those in f32 on these pictures,\n"
                 "above 0 and up to 1")
      ->needs(calibrate)
      ->type_name("COSINE")
      ->capture_default_str();
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
