#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

struct InfoFlags {
  std::string directory;
  std::string vision_directory;
  int threads = 0;
  bool json = false;
};

using Json = nlohmann::ordered_json;

std::string Millions(int64_t count) {
  return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
}

void PrintRow(std::string_view name, std::string_view value) { Print("  {:<16}{}\n", name, value); }

void PrintCalibration(const Calibration& calibration) {
  PrintRow("calibration",
           fmt::format("visual-token cosine {:.6f} (worst {:.6f}) on {} pictures, target {}",
                       calibration.cosine_mean, calibration.cosine_worst, calibration.pictures,
                       calibration.target));
  PrintRow("", fmt::format("all in q8 {:.6f}; kept in bf16:{}", calibration.cosine_quantized,
                           calibration.kept.empty() ? " nothing" : ""));
  for (const Calibration::Kept& kept : calibration.kept) {
    PrintRow("", fmt::format("  {:<42}{:.2e} lost by it alone", kept.tensor, kept.loss));
  }
}

void PrintModel(const ModelInfo& info) {
  Print("Model {}\n", info.directory);
  PrintRow("layout", fmt::format("{}, {} weights, {} on disk", info.layout, info.dtype,
                                 Megabytes(info.file_bytes)));
  PrintRow("parameters",
           fmt::format("{} = vision {} + projector {} + decoder {}",
                       Millions(info.vision_parameters + info.projector_parameters +
                                info.decoder_parameters),
                       Millions(info.vision_parameters), Millions(info.projector_parameters),
                       Millions(info.decoder_parameters)));
  PrintRow("vision",
           fmt::format("blocks {}, channels {}, features {}", fmt::join(info.stage_blocks, "+"),
                       fmt::join(info.stage_channels, "/"), info.feature_channels));
  const int side = info.image_size / info.pixels_per_token;
  PrintRow("image", fmt::format("{0} x {0} pixels, {1} x {1} = {2} tokens", info.image_size, side,
                                side * side));
  PrintRow("decoder",
           fmt::format("{} layers, hidden {}, {} heads, {} key-value heads, MLP {}", info.layers,
                       info.hidden, info.heads, info.kv_heads, info.intermediate));
  PrintRow("vocabulary", fmt::format("{} tokens, {} output head", info.vocabulary,
                                     info.tied_embeddings ? "tied" : "own"));
  PrintRow("context", fmt::format("{} tokens", info.context_tokens));
  if (info.calibration) PrintCalibration(*info.calibration);
}

Json CalibrationJson(const Calibration& calibration) {
  Json kept = Json::array();
  for (const Calibration::Kept& one : calibration.kept) {
    kept.push_back({{"tensor", one.tensor}, {"loss", one.loss}});
  }
  return {
      {"target", calibration.target},           {"cosine_quantized", calibration.cosine_quantized},
      {"cosine_mean", calibration.cosine_mean}, {"cosine_worst", calibration.cosine_worst},
      {"pictures", calibration.pictures},       {"kept", kept}};
}

Json ModelJson(const ModelInfo& info) {
  Json json = {{"directory", info.directory},
               {"layout", info.layout},
               {"dtype", info.dtype},
               {"file_bytes", info.file_bytes},
               {"image_size", info.image_size},
               {"pixels_per_token", info.pixels_per_token},
               {"stage_blocks", info.stage_blocks},
               {"stage_channels", info.stage_channels},
               {"feature_channels", info.feature_channels},
               {"hidden", info.hidden},
               {"layers", info.layers},
               {"heads", info.heads},
               {"kv_heads", info.kv_heads},
               {"intermediate", info.intermediate},
               {"vocabulary", info.vocabulary},
               {"tied_embeddings", info.tied_embeddings},
               {"context_tokens", info.context_tokens},
               {"vision_parameters", info.vision_parameters},
               {"projector_parameters", info.projector_parameters},
               {"decoder_parameters", info.decoder_parameters},
               {"warnings", info.warnings}};
  if (info.calibration) json["calibration"] = CalibrationJson(*info.calibration);
  return json;
}

void PrintSystem(const SystemInfo& system, int threads) {
  Print("System\n");
  PrintRow("version", system.version);
  if (!system.commit.empty()) PrintRow("commit", system.commit);
  PrintRow("CPU", system.cpu);
  PrintRow("instructions", system.isa);
  PrintRow("threads", fmt::format("{}", threads));
  std::string kernels;
  for (const KernelChoice& choice : system.kernels) {
    kernels += fmt::format("{}{} {}", kernels.empty() ? "" : ", ", choice.kernel, choice.variant);
  }
  PrintRow("kernels", kernels);
}

Json SystemJson(const SystemInfo& system, int threads) {
  Json kernels = Json::object();
  for (const KernelChoice& choice : system.kernels) kernels[choice.kernel] = choice.variant;
  return {{"version", system.version}, {"commit", system.commit}, {"cpu", system.cpu},
          {"isa", system.isa},         {"threads", threads},      {"kernels", kernels}};
}

int Run(const InfoFlags& flags) {
  const Result<SystemInfo> system = GetSystemInfo();
  if (!system.ok()) {
    PrintError(system.status());
    return ExitCode(system.status());
  }
  const int threads = flags.threads == 0 ? system->default_threads : flags.threads;
  Json json = Json::object();
  // The system is shown even where no model was installed.
  const Result<std::string> directory = ModelDirectory(flags.directory);
  if (!directory.ok() && !flags.directory.empty()) {
    PrintError(directory.status());
    return ExitCode(directory.status());
  }
  if (directory.ok()) {
    const Result<std::string> vision = VisionDirectory(flags.vision_directory);
    if (!vision.ok()) {
      PrintError(vision.status());
      return ExitCode(vision.status());
    }
    const Result<ModelInfo> info = InspectModel(*directory, *vision);
    if (!info.ok()) {
      PrintError(info.status());
      return ExitCode(info.status());
    }
    if (flags.json) {
      json["model"] = ModelJson(*info);
    } else {
      PrintModel(*info);
      for (const std::string& warning : info->warnings) PrintWarning(WithFlagNames(warning));
    }
  }
  if (flags.json) {
    json["system"] = SystemJson(*system, threads);
    WriteJson(json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    PrintSystem(*system, threads);
  }
  return kExitOk;
}

}  // namespace

CommandFn AddInfo(CLI::App& app) {
  auto flags = std::make_shared<InfoFlags>();
  app.footer(
      "Examples:\n"
      "  fastvlm info\n"
      "  fastvlm info FastVLM-0.5B\n"
      "  FASTVLM_ISA=avx2 fastvlm info --json");
  app.add_option("-m,--model,MODEL", flags->directory,
                 "Directory of a FastVLM checkpoint, or the name of a fetched model (default: the "
                 "bundled model)");
  AddVisionFlag(app, flags->vision_directory);
  app.add_option("-t,--threads", flags->threads, "Threads; 0 means one for each physical core")
      ->check(CLI::Range(0, 256));
  app.add_flag("--json", flags->json, "JSON instead of text");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
