#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/printable.h"
#include "base/stopwatch.h"
#include "commands.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "terminal.h"

namespace fastvlm {
namespace {

// Of a schema's file; the library has the same limit.
constexpr size_t kMaxSchemaBytes = size_t{256} << 10;

struct DescribeFlags {
  ModelFlags model;
  ImageFlags image;
  SessionOptions session;
  GenerateOptions generate;
  std::string prompt = "Describe the image.";
  std::string schema;
  bool json = false;
  bool together = false;
  bool quiet = false;
  std::vector<std::string> images;
};

// Set by Ctrl-C; the answer ends after the current token.
std::atomic<bool> interrupted = false;

// While an answer is being written the first Ctrl-C ends it in order, with its summary. At any
// other time, and the second time, it ends the program at once.
void InterruptOnce(int) {
  interrupted.store(true);
  signal(SIGINT, SIG_DFL);
}

struct Decoded {
  Image image;
  double milliseconds;
};

Result<Decoded> ReadImage(const std::string& path, const ImageOptions& options) {
  const Stopwatch stopwatch;
  Result<Image> image =
      path == "-" ? Image::FromStandardInput(options) : Image::FromFile(path, options);
  if (!image.ok()) return image.status();
  return Decoded{std::move(image).value(), stopwatch.Milliseconds()};
}

const char* FinishName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

// Writes and flushes; false if standard output is gone or full.
bool Write(std::string_view text) {
  WriteText(text);
  return FlushOutput();
}

class Describer {
 public:
  explicit Describer(const DescribeFlags& flags) : flags_(flags) {}

  Status Load() {
    const Stopwatch stopwatch;
    Result<std::shared_ptr<const Model>> model = LoadModel(flags_.model);
    if (!model.ok()) return model.status();
    model_ = std::move(model).value();
    load_ms_ = stopwatch.Milliseconds();
    Result<Session> session = Session::Create(model_, flags_.session);
    if (!session.ok()) return session.status();
    session_.emplace(std::move(session).value());
    return {};
  }

  // One answer about all of `paths` together.
  Status Answer(const std::vector<std::string>& paths) {
    UserTurn turn;
    turn.text = flags_.prompt;
    turn.encode = flags_.image.encode;
    double image_ms = 0;
    for (const std::string& path : paths) {
      Result<Decoded> decoded = ReadImage(path, flags_.image.image);
      if (!decoded.ok()) return decoded.status();
      image_ms += decoded->milliseconds;
      turn.images.push_back(std::move(decoded->image));
    }
    if (flags_.images.size() > 1 && !flags_.together && !flags_.json) {
      Write(fmt::format("{}==> {} <==\n", answers_++ == 0 ? "" : "\n", paths.front()));
    }
    ProgressLine encoding("Encoding");
    ProgressLine reading("Reading ");
    const auto progress = [&](AskPhase phase, double done) {
      if (phase == AskPhase::kEncode) return encoding.Update(done);
      encoding.Clear();
      reading.Update(done);
    };
    bool output_ok = true;
    bool streaming = false;
    const auto stream = [&](std::string_view piece) {
      if (!streaming) signal(SIGINT, InterruptOnce);
      streaming = true;
      reading.Clear();
      if (!flags_.json) output_ok = Write(piece);
      return output_ok && !interrupted.load();
    };
    session_->Reset();
    Result<fastvlm::Answer> answer = session_->Ask(turn, flags_.generate, stream, progress);
    signal(SIGINT, SIG_DFL);
    reading.Clear();
    if (!answer.ok()) return answer.status();
    output_ok = output_ok && Write(flags_.json ? JsonLine(paths, *answer, image_ms) : "\n");
    if (!flags_.quiet) PrintSummary(*answer, image_ms);
    if (!output_ok)
      return Status(StatusCode::kIoError, "standard output: cannot write; is the disk full?");
    return {};
  }

 private:
  std::string JsonLine(const std::vector<std::string>& paths, const fastvlm::Answer& answer,
                       double image_ms) const {
    const Timings& timings = answer.timings;
    const nlohmann::ordered_json line = {
        {"images", paths},
        {"text", answer.text},
        {"token_ids", answer.token_ids},
        {"prompt_tokens", answer.prompt_tokens},
        {"image_tokens", answer.image_tokens},
        {"finish_reason", FinishName(answer.finish_reason)},
        {"timings",
         {{"load_ms", load_ms_},
          {"image_ms", image_ms + timings.image_ms},
          {"encode_ms", timings.encode_ms},
          {"prefill_ms", timings.prefill_ms},
          {"ttft_ms", image_ms + timings.ttft_ms},
          {"decode_ms", timings.decode_ms},
          {"decode_tokens_per_s", timings.decode_tokens_per_s}}},
        {"peak_memory_bytes", PeakMemoryBytes()},
    };
    // A file name need not be valid UTF-8, JSON must be.
    return TerminalJson(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) + "\n";
  }

  void PrintSummary(const fastvlm::Answer& answer, double image_ms) const {
    const Timings& timings = answer.timings;
    Say("image {:.0f} ms | encode {:.0f} ms ({} tokens) | prefill {:.0f} ms ({} tokens) | "
        "first token {:.0f} ms | "
        "{} tokens, {:.1f}/s | peak {:.2f} GB\n",
        image_ms + timings.image_ms, timings.encode_ms, answer.image_tokens, timings.prefill_ms,
        answer.prompt_tokens, image_ms + timings.ttft_ms, answer.token_ids.size(),
        timings.decode_tokens_per_s, static_cast<double>(PeakMemoryBytes()) / 1e9);
  }

  const DescribeFlags& flags_;
  std::shared_ptr<const Model> model_;
  std::optional<Session> session_;
  double load_ms_ = 0;
  int answers_ = 0;
};

// The text of --json-schema: what begins like JSON is the schema, anything else names a file.
Result<std::string> ReadSchema(const std::string& argument) {
  const size_t first = argument.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (argument[first] == '{' || argument == "true")) return argument;
  Result<std::string> text = ReadTextFile(argument, kMaxSchemaBytes, FileKind::kAny);
  if (!text.ok() && text.status().code() != StatusCode::kResourceExhausted) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("--json-schema {}: cannot read this file, and a schema begins with {{",
                    argument));
  }
  if (!text.ok() || text->empty()) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("--json-schema {}: expected 1 to {} bytes", argument, kMaxSchemaBytes));
  }
  return text;
}

int Run(DescribeFlags& flags) {
  if (!flags.schema.empty()) {
    Result<std::string> schema = ReadSchema(flags.schema);
    if (!schema.ok()) {
      PrintError(schema.status());
      return ExitCode(schema.status());
    }
    flags.generate.json_schema = std::move(schema).value();
  }
  Describer describer(flags);
  Status status = describer.Load();
  if (!status.ok()) {
    PrintError(status);
    return ExitCode(status);
  }
  std::vector<std::vector<std::string>> groups;
  if (flags.together || flags.images.empty()) {
    groups.push_back(flags.images);
  } else {
    for (const std::string& image : flags.images) groups.push_back({image});
  }
  int exit_code = kExitOk;
  for (const auto& group : groups) {
    status = describer.Answer(group);
    if (!status.ok()) {
      PrintError(status);
      exit_code = ExitCode(status);  // the other images still get their answers
    }
    if (interrupted.load()) return kExitFailure;
  }
  return exit_code;
}

}  // namespace

CommandFn AddDescribe(CLI::App& app) {
  auto flags = std::make_shared<DescribeFlags>();
  flags->model.options.precision = Precision::kFastest;
  app.footer(
      "Examples:\n"
      "  fastvlm describe picture.png\n"
      "  fastvlm describe --model FastVLM-0.5B photo.jpg\n"
      "  fastvlm describe --model FastVLM-0.5B --prompt \"How many people are there?\" *.jpg\n"
      "  fastvlm describe --model FastVLM-0.5B --together --prompt \"What changed?\" before.png "
      "after.png\n"
      "  fastvlm describe --model FastVLM-0.5B --json scan.png | jq -r .text\n"
      "  fastvlm describe --model FastVLM-0.5B --json-schema receipt.schema.json receipt.jpg\n"
      "  camera-shot | fastvlm describe --model FastVLM-0.5B -");
  app.add_option(
         "IMAGE", flags->images,
         "Pictures: JPEG, PNG, WebP, BMP, GIF, TIFF, PNM, ICO, HEIC, AVIF; '-' reads one from\n"
         "standard input. Without any, the prompt alone is answered")
      ->take_all();
  app.add_option("-p,--prompt", flags->prompt, "Question or instruction")->capture_default_str();
  AddModelFlags(app, flags->model);
  AddImageFlags(app, flags->image);
  AddCacheFlag(app, flags->session.cache);
  AddGenerateFlags(app, flags->generate);
  app.add_flag("--together", flags->together,
               "Ask once about all images (FastVLM was trained on one)");
  app.add_option("--json-schema", flags->schema,
                 "The answer is JSON that follows this JSON schema: a file, or the schema itself\n"
                 "(docs/STRUCTURED_OUTPUT.md); '{}' allows any JSON")
      ->type_name("FILE|TEXT");
  app.add_flag("--json", flags->json,
               "One line of JSON for each answer, with token ids and timings");
  app.add_flag("-q,--quiet", flags->quiet, "No summary line on standard error");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
