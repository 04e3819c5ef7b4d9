#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/stopwatch.h"
#include "bench_worker.h"
#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

using Json = nlohmann::ordered_json;

struct BenchFlags {
  ModelFlags model;
  std::vector<Precision> precisions = {Precision::kAsStored};
  BenchmarkOptions options;
  bool json = false;
  bool worker = false;
};

// All that was measured of a model at one precision.
struct Measured {
  Precision precision;
  double load_ms;
  int64_t weight_bytes;
  int64_t peak_memory_bytes;
  std::vector<BenchmarkCase> cases;
};

struct Report {
  SystemInfo system;
  int threads = 0;
  MachinePeak peak;
  std::vector<Measured> measured;
};

const char* KindName(BenchmarkKind kind) {
  switch (kind) {
    case BenchmarkKind::kEncode:
      return "encode";
    case BenchmarkKind::kPrefill:
      return "prefill";
    case BenchmarkKind::kDecode:
      return "decode";
    case BenchmarkKind::kBatch:
      return "batch";
    case BenchmarkKind::kFirstToken:
      return "first token";
  }
  return "";
}

// The least time this machine could do the products in, as a share of the time they took.
// work: a BenchmarkCase or a BenchmarkOperation.
template <typename Work>
double ShareOfPeak(const Work& work, double ms, const MachinePeak& peak) {
  double least_s =
      work.f32_operations / (peak.f32_gflops * 1e9) + work.int8_operations / (peak.int8_gops * 1e9);
  if (work.bf16_operations > 0) {
    // Products emulated on a CPU that has none are at best as fast as those of f32.
    const double gflops = peak.bf16_gflops > 0 ? peak.bf16_gflops : peak.f32_gflops;
    least_s += work.bf16_operations / (gflops * 1e9);
  }
  if (work.f16_operations > 0) least_s += work.f16_operations / (peak.f16_gflops * 1e9);
  return ms > 0 ? least_s * 1000 / ms : 0;
}

template <typename Work>
double Gops(const Work& work, double ms) {
  const double operations =
      work.f32_operations + work.int8_operations + work.bf16_operations + work.f16_operations;
  return ms > 0 ? operations / ms * 1e-6 : 0;
}

// Whether its times are of one step of decoding.
bool IsDecoding(const BenchmarkCase& result) {
  return result.kind == BenchmarkKind::kDecode || result.kind == BenchmarkKind::kBatch;
}

double TokensPerPass(const BenchmarkCase& result) {
  if (result.kind == BenchmarkKind::kDecode) return 1;
  if (result.kind == BenchmarkKind::kBatch) return result.size;
  return static_cast<double>(result.tokens);
}

std::string SizeText(const BenchmarkCase& result) {
  switch (result.kind) {
    case BenchmarkKind::kEncode:
    case BenchmarkKind::kFirstToken:
      return fmt::format("{0} x {0} pixels", result.size);
    case BenchmarkKind::kPrefill:
      return fmt::format("{} tokens", result.size);
    case BenchmarkKind::kDecode:
      return fmt::format("after {} tokens", result.size);
    case BenchmarkKind::kBatch:
      return fmt::format("{} sequence{}", result.size, result.size == 1 ? "" : "s");
  }
  return "";
}

void PrintOperations(const BenchmarkCase& result, const MachinePeak& peak) {
  std::vector<BenchmarkOperation> operations = result.operations;
  std::sort(operations.begin(), operations.end(),
            [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  double total = 0;
  for (const BenchmarkOperation& operation : operations) total += operation.seconds;
  for (const BenchmarkOperation& operation : operations) {
    const double ms = operation.seconds * 1000;
    Print("    {:<22}{:>6}x{:>11.2f} ms{:>7.1f} %{:>9.1f} GOP/s{:>7.1f} %{:>8.1f} GB/s\n",
          operation.name, operation.calls, ms, 100 * operation.seconds / total, Gops(operation, ms),
          100 * ShareOfPeak(operation, ms, peak), operation.bytes / operation.seconds * 1e-9);
  }
}

void PrintMeasured(const Measured& measured, const MachinePeak& peak) {
  Print("\n{}: loaded in {:.0f} ms, weights {:.1f} MB, peak memory {:.1f} MB\n",
        PrecisionName(measured.precision), measured.load_ms,
        static_cast<double>(measured.weight_bytes) / 1e6,
        static_cast<double>(measured.peak_memory_bytes) / 1e6);
  Print("  {:<13}{:<20}{:>12}{:>12}{:>11}{:>10}{:>9}\n", "", "", "median ms", "fastest ms",
        "tokens/s", "GOP/s", "of peak");
  for (const BenchmarkCase& result : measured.cases) {
    const double ms = result.median_ms;
    const bool decode = IsDecoding(result);
    const double tokens = TokensPerPass(result);
    const std::string rate =
        result.kind == BenchmarkKind::kFirstToken ? "" : fmt::format("{:.1f}", tokens * 1000 / ms);
    Print("  {:<13}{:<20}{:>12.2f}{:>12.2f}{:>11}{:>10.1f}{:>7.1f} %", KindName(result.kind),
          SizeText(result), ms, result.fastest_ms, rate, Gops(result, ms),
          100 * ShareOfPeak(result, ms, peak));
    if (decode) {
      const double gbps = result.weight_bytes / ms * 1e-6;
      Print("  weights at {:.1f} GB/s, {:.1f} % of reading", gbps, 100 * gbps / peak.read_gbps);
    }
    Print("\n");
    if (!result.operations.empty()) PrintOperations(result, peak);
  }
}

void PrintReport(const Report& report) {
  const auto if_any = [](double gflops, const char* type) {
    return gflops > 0 ? fmt::format("{:.1f} GFLOP/s {}, ", gflops, type) : "";
  };
  Print("{}, {}, {} thread(s): {:.1f} GFLOP/s f32, {}{}{:.1f} GOP/s 8-bit, reads {:.1f} GB/s\n",
        report.system.cpu, report.system.isa, report.threads, report.peak.f32_gflops,
        if_any(report.peak.bf16_gflops, "bf16"), if_any(report.peak.f16_gflops, "f16"),
        report.peak.int8_gops, report.peak.read_gbps);
  for (const Measured& measured : report.measured) PrintMeasured(measured, report.peak);
}

Json CaseJson(const BenchmarkCase& result, const MachinePeak& peak) {
  Json json = {{"kind", KindName(result.kind)},
               {"size", result.size},
               {"tokens", result.tokens},
               {"median_ms", result.median_ms},
               {"fastest_ms", result.fastest_ms},
               {"gops", Gops(result, result.median_ms)},
               {"share_of_peak", ShareOfPeak(result, result.median_ms, peak)}};
  if (IsDecoding(result)) {
    json["tokens_per_s"] = TokensPerPass(result) * 1000 / result.median_ms;
    json["weights_gbps"] = result.weight_bytes / result.median_ms * 1e-6;
  }
  for (const BenchmarkOperation& operation : result.operations) {
    json["operations"].push_back({{"name", operation.name},
                                  {"calls", operation.calls},
                                  {"ms", operation.seconds * 1000},
                                  {"f32_operations", operation.f32_operations},
                                  {"int8_operations", operation.int8_operations},
                                  {"bf16_operations", operation.bf16_operations},
                                  {"f16_operations", operation.f16_operations},
                                  {"bytes", operation.bytes}});
  }
  return json;
}

void PrintJson(const Report& report, const std::string& model) {
  Json json = {{"version", report.system.version},
               {"cpu", report.system.cpu},
               {"isa", report.system.isa},
               {"threads", report.threads},
               {"model", model},
               {"peak",
                {{"f32_gflops", report.peak.f32_gflops},
                 {"int8_gops", report.peak.int8_gops},
                 {"read_gbps", report.peak.read_gbps}}},
               {"precisions", Json::array()}};
  if (report.peak.bf16_gflops > 0) json["peak"]["bf16_gflops"] = report.peak.bf16_gflops;
  if (report.peak.f16_gflops > 0) json["peak"]["f16_gflops"] = report.peak.f16_gflops;
  for (const Measured& measured : report.measured) {
    Json entry = {{"precision", PrecisionName(measured.precision)},
                  {"load_ms", measured.load_ms},
                  {"weight_bytes", measured.weight_bytes},
                  {"peak_memory_bytes", measured.peak_memory_bytes},
                  {"cases", Json::array()}};
    for (const BenchmarkCase& result : measured.cases) {
      entry["cases"].push_back(CaseJson(result, report.peak));
    }
    json["precisions"].push_back(std::move(entry));
  }
  WriteJson(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

Result<Measured> Measure(const BenchFlags& flags, Precision precision, bool last, Report& report) {
  ModelFlags model_flags = flags.model;
  model_flags.options.precision = precision;
  const Stopwatch watch;
  const Result<std::shared_ptr<const Model>> model = LoadModel(model_flags);
  if (!model.ok()) return model.status();
  const double load_ms = watch.Milliseconds();
  const ModelInfo& info = (*model)->info();
  Measured measured = {info.precision, load_ms, info.weight_bytes, 0, {}};
  ProgressLine progress(fmt::format("Measuring {:<4}", PrecisionName(info.precision)));
  Result<std::vector<BenchmarkCase>> cases =
      RunBenchmark(*model, flags.options, [&](double done) { progress.Update(done); });
  if (!cases.ok()) return cases.status();
  measured.cases = *std::move(cases);
  measured.peak_memory_bytes = PeakMemoryBytes();
  if (last) {  // this takes memory of its own
    report.threads = (*model)->threads();
    const Result<MachinePeak> peak = MeasureMachinePeak(**model);
    if (!peak.ok()) return peak.status();
    report.peak = *peak;
  }
  return measured;
}

Status Work(const BenchFlags& flags) {
  if (flags.precisions.size() != 1) {
    return Status(StatusCode::kInvalidArgument, "--worker takes one --precision");
  }
  ModelFlags model_flags = flags.model;
  model_flags.options.precision = flags.precisions[0];
  const Result<std::shared_ptr<const Model>> model = LoadModel(model_flags);
  return model.ok() ? RunBenchWorker(*model) : model.status();
}

Status Bench(const BenchFlags& flags) {
  if (flags.worker) return Work(flags);
  const Result<SystemInfo> system = GetSystemInfo();
  if (!system.ok()) return system.status();
  const Result<std::string> directory = ModelDirectory(flags.model.directory);
  if (!directory.ok()) return directory.status();
  Report report;
  report.system = *system;
  // The smallest precision comes first. A process's peak of memory never falls, so a precision
  // shows its own peak only if it needs more than those before it.
  std::vector<Precision> precisions = flags.precisions;
  std::sort(precisions.begin(), precisions.end(), std::greater<>());
  for (Precision precision : precisions) {
    Result<Measured> measured = Measure(flags, precision, precision == precisions.back(), report);
    if (!measured.ok()) return measured.status();
    report.measured.push_back(*std::move(measured));
  }
  if (flags.json) {
    PrintJson(report, *directory);
  } else {
    PrintReport(report);
  }
  return {};
}

int Run(const BenchFlags& flags) {
  const Status status = Bench(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

void AddList(CLI::App& app, const char* flag, std::vector<int>& values, const char* help) {
  app.add_option(flag, values, help)
      ->delimiter(',')
      ->type_name("N,...")
      ->take_all()
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
}

}  // namespace

CommandFn AddBench(CLI::App& app) {
  auto flags = std::make_shared<BenchFlags>();
  app.footer(
      "Each line is the median and the fastest of --repetitions passes, after one that is not "
      "counted.\n"
      "'of peak' is the least time the machine could do the products in, by its peak measured in "
      "the\n"
      "same run, as a share of the median. Pictures and prompts are noise; nothing is downloaded.\n"
      "\n"
      "Examples:\n"
      "  fastvlm bench\n"
      "  fastvlm bench --model FastVLM-0.5B --precision f32,q8 --profile\n"
      "  fastvlm bench --model FastVLM-0.5B --encoder 1024 --prefill 280 --decode 300 --json\n"
      "  fastvlm bench --model FastVLM-0.5B --precision q8 --batch 1,2,4,8,16");
  AddModelFlags(app, flags->model);
  app.remove_option(app.get_option("--precision"));
  app.add_option_function<std::vector<std::string>>(
         "--precision",
         [f = flags.get()](const std::vector<std::string>& names) {
           f->precisions.clear();
           for (const std::string& name : names) f->precisions.push_back(ParsePrecision(name));
         },
         "Any of auto, f32, bf16, q8 and q4")
      ->delimiter(',')
      ->take_all()
      ->type_name("TYPE,...")
      ->default_str("auto");
  BenchmarkOptions& options = flags->options;
  AddList(app, "--encoder", options.encoder_sizes, "Sides of the square pictures, in pixels");
  AddList(app, "--prefill", options.prefill_tokens, "Lengths of the prompts, in tokens");
  AddList(app, "--decode", options.decode_depths, "Tokens before the one that is decoded");
  AddList(app, "--batch", options.batches,
          "Sequences, 256 tokens deep, that are decoded together as the server does it");
  app.add_flag("!--no-first-token", options.first_token,
               "Leave out the way from a picture to the first token");
  app.add_option("--decode-tokens", options.decode_tokens, "Tokens decoded in each repetition")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--repetitions", options.repetitions, "Passes that are counted")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--profile", options.profile, "Also show where the time goes, by operation");
  app.add_flag("--json", flags->json, "JSON instead of text");
  app.add_flag("--worker", flags->worker,
               "Run single passes as standard input says (encode 1024, prefill 280,\n"
               "decode 64 280, first-token 1024) and print the milliseconds of each");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
