#include <fmt/format.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "commands.h"
#include "fastvlm/engine.h"
#include "fastvlm/fastvlm.h"
#include "flags.h"
#include "models.h"
#include "server/memory_plan.h"
#include "server/origin.h"
#include "server/server.h"
#include "terminal.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxKeyFileBytes = size_t{1} << 20;
constexpr size_t kMaxKeyBytes = 4096;

struct ServeFlags {
  ModelFlags model;
  EngineOptions engine;
  ServerOptions server;
  std::vector<std::string> key_files;
  double timeout_s = 300;
  int image_cache_mb = 256;
  int prefix_cache_mb = 512;
  int max_body_mb = 64;
  std::string memory;
  std::string limit_per_key;
  std::string max_encoder_pixels = "2048x3072";
  int max_megapixels = 120;
  bool quiet = false;
};

// What the signal handler stops.
std::atomic<Server*> running = nullptr;
std::atomic<bool> shutting_down = false;

// The first signal lets what runs be finished, the second ends the program at once.
void OnSignal(int signal_number) {
  if (shutting_down.exchange(true)) _exit(128 + signal_number);
  if (Server* server = running.load(); server != nullptr) server->Stop();
}

void HandleSignals() {
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// A key that a client can send: no blanks and no control characters. `where` says where it stands;
// the key itself is shown to nobody.
Status CheckKey(const std::string& key, const std::string& where) {
  const bool ok =
      !key.empty() && key.size() <= kMaxKeyBytes &&
      std::all_of(key.begin(), key.end(), [](unsigned char c) { return c > 0x20 && c != 0x7f; });
  if (ok) return {};
  return Status(StatusCode::kInvalidArgument,
                fmt::format("{}: expected a key of 1 to {} characters, without blanks or control "
                            "characters",
                            where, kMaxKeyBytes));
}

// One key for each line that is neither empty nor begins with '#'.
Status ReadKeys(const std::string& path, std::vector<std::string>& keys) {
  const Result<std::string> text = ReadTextFile(path, kMaxKeyFileBytes);
  if (!text.ok()) return text.status();
  std::istringstream lines(*text);
  const size_t before = keys.size();
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    keys.push_back(line.substr(first, line.find_last_not_of(" \t\r") - first + 1));
    const Status status = CheckKey(keys.back(), fmt::format("{}:{}", path, number));
    if (!status.ok()) return status;
  }
  if (keys.size() == before) {
    return Status(StatusCode::kDataError,
                  fmt::format("{}: no key in it; expected one on each line", path));
  }
  return {};
}

Status CollectKeys(const ServeFlags& flags, std::vector<std::string>& keys) {
  for (const std::string& path : flags.key_files) {
    Status status = ReadKeys(path, keys);
    if (!status.ok()) return status;
  }
  for (const std::string& key : flags.server.api_keys) {
    Status status = CheckKey(key, "--api-key");
    if (!status.ok()) return status;
  }
  if (const char* key = std::getenv("FASTVLM_API_KEY"); key != nullptr && *key != '\0') {
    keys.emplace_back(key);
    return CheckKey(keys.back(), "FASTVLM_API_KEY");
  }
  return {};
}

// "nano" of "/usr/share/fastvlm/models/nano/".
std::string ModelName(const std::string& directory) {
  std::filesystem::path path = std::filesystem::path(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string name = path.filename().string();
  return name.empty() || name == "." ? "fastvlm" : name;
}

void Announce(const Server& server, const ServerOptions& options) {
  Say("Serving {} at {}\n", options.model_name, server.url());
  if (options.api_keys.empty() && options.host != "127.0.0.1" && options.host != "localhost" &&
      options.host != "::1") {
    PrintWarning("anybody who can reach this machine may use the server; --api-key asks for a key");
  }
}

// One whole number, or two with this character between them; the second is -1 if it is not there.
std::optional<std::pair<int64_t, int64_t>> ParsePair(const std::string& text, char between) {
  std::pair<int64_t, int64_t> pair = {0, -1};
  const char* end = text.data() + text.size();
  std::from_chars_result read = std::from_chars(text.data(), end, pair.first);
  if (read.ec == std::errc() && read.ptr != end && *read.ptr == between) {
    read = std::from_chars(read.ptr + 1, end, pair.second);
    if (pair.second < 0) return std::nullopt;
  }
  if (read.ec != std::errc() || read.ptr != end || pair.first < 0) return std::nullopt;
  return pair;
}

// "4" or "4,20000".
std::optional<KeyLimit> ParseLimitPerKey(const std::string& text) {
  const auto pair = ParsePair(text, ',');
  if (!pair || pair->first > 100'000 || pair->second > 1'000'000'000) return std::nullopt;
  return KeyLimit{static_cast<int>(pair->first), std::max<int64_t>(pair->second, 0)};
}

// "2048x3072", or a number of pixels.
std::optional<int64_t> ParsePixels(const std::string& text) {
  constexpr int64_t kMost = int64_t{1} << 30;
  const auto pair = ParsePair(text, 'x');
  if (!pair || pair->first < 1 || pair->first > kMost || pair->second > kMost) return std::nullopt;
  const int64_t pixels = pair->second < 0 ? pair->first : pair->first * pair->second;
  if (pixels < 1 || pixels > kMost) return std::nullopt;
  return pixels;
}

ServerOptions ServerOptionsOf(const ServeFlags& flags) {
  ServerOptions options = flags.server;
  options.max_queued = flags.engine.max_queued;
  options.request_timeout_ms = flags.timeout_s * 1000;
  options.max_body_bytes = static_cast<size_t>(flags.max_body_mb) << 20;
  options.image.max_pixels = int64_t{flags.max_megapixels} * 1'000'000;
  options.max_encoder_pixels = *ParsePixels(flags.max_encoder_pixels);
  if (!flags.limit_per_key.empty()) {
    options.limit_per_key = *ParseLimitPerKey(flags.limit_per_key);
  }
  options.image.max_decode_bytes = 4 * options.image.max_pixels;
  if (!flags.quiet) {
    options.log = [](const std::string& line) { SayText(line + "\n"); };
  }
  return options;
}

// What is freed goes back to the system, instead of being kept in case it is needed again.
void ReturnMemoryAtOnce() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
#endif
}

Status Serve(const ServeFlags& flags) {
  ServerOptions options = ServerOptionsOf(flags);
  Status status = CollectKeys(flags, options.api_keys);
  if (!status.ok()) return status;
  if (!flags.limit_per_key.empty() && options.api_keys.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "--limit-per-key needs keys; give them with --api-key-file");
  }
  for (const std::string& path : {options.tls_cert, options.tls_key}) {
    // A pipe that nobody writes into would be waited for.
    if (options.tls_cert.empty() || options.tls_key.empty() || FileExists(path)) continue;
    return Status(StatusCode::kNotFound, fmt::format("{}: there is no such file", path));
  }
  Result<std::shared_ptr<const Model>> model = LoadModel(flags.model);
  if (!model.ok()) return model.status();
  if (options.model_name.empty()) options.model_name = ModelName((*model)->info().directory);

  EngineOptions engine_options = flags.engine;
  engine_options.image_cache_bytes = int64_t{flags.image_cache_mb} << 20;
  engine_options.prefix_cache_bytes = int64_t{flags.prefix_cache_mb} << 20;
  if (!flags.memory.empty()) {
    const Result<MemoryPlan> plan =
        PlanMemory(*ParseMemory(flags.memory), ModelMemoryBytes(**model));
    if (!plan.ok()) return plan.status();
    engine_options.memory_bytes = plan->engine_bytes;
    options.max_request_bytes = plan->request_bytes;
    options.image.max_decode_bytes = plan->decode_bytes;
    ReturnMemoryAtOnce();
  }
  const Result<std::unique_ptr<Engine>> engine =
      Engine::Create(std::move(model).value(), engine_options);
  if (!engine.ok()) return NameFlag(engine.status(), "context_tokens", "--context");
  const Result<std::unique_ptr<Server>> server = Server::Create(**engine, options);
  if (!server.ok()) return server.status();
  running.store(server->get());
  HandleSignals();
  Announce(**server, options);
  (*server)->Run();
  running.store(nullptr);
  return {};
}

int Run(const ServeFlags& flags) {
  const Status status = Serve(flags);
  if (status.ok()) return kExitOk;
  PrintError(status);
  return ExitCode(status);
}

std::string CheckOrigin(const std::string& text) {
  if (text == "*" || IsOrigin(text)) return "";
  return "'" + text +
         "' is no origin; expected '*', or scheme, host and port as browsers send them, without a "
         "path: https://app.example or http://localhost:3000";
}

// CLI::Range lets "nan" through, which is not below or above anything.
std::string CheckTimeout(const std::string& text) {
  double seconds = 0;
  if (CLI::detail::lexical_cast(text, seconds) && seconds >= 0.001 && seconds <= 86400) return "";
  return "'" + text + "' is no time; expected seconds, 0.001 to 86400";
}

void AddAccessFlags(CLI::App& app, ServeFlags& flags) {
  ServerOptions& server = flags.server;
  const auto repeated = [&app](const char* name, std::vector<std::string>& values,
                               const char* help) {
    return app.add_option(name, values, help)->take_all()->allow_extra_args(false);
  };
  repeated("--api-key", server.api_keys,
           "Clients must send this key ('Authorization: Bearer KEY'); may be repeated. Other\n"
           "users of this machine can see it: better in a file, or in FASTVLM_API_KEY")
      ->type_name("KEY");
  repeated("--api-key-file", flags.key_files, "File with one key on each line")->type_name("FILE");
  repeated("--cors", server.cors_origins,
           "Let pages of this origin use the server from a browser; '*' means all; may be repeated")
      ->check(CheckOrigin)
      ->type_name("ORIGIN");
  repeated("--allow-host", server.allowed_hosts,
           "A name that the server may be called by, for example behind a proxy, besides localhost "
           "and,\n"
           "with another --host, addresses and this machine's name")
      ->type_name("NAME");
  app.add_option("--tls-cert", server.tls_cert, "Certificate, PEM: serve https")->type_name("FILE");
  app.add_option("--tls-key", server.tls_key, "Its private key, PEM")->type_name("FILE");
  app.add_flag("--allow-remote-images", server.allow_remote_images,
               "Fetch images that requests name by URL, from public addresses only");
}

void AddLimitFlags(CLI::App& app, ServeFlags& flags) {
  ServerOptions& server = flags.server;
  app.add_option("--max-active", flags.engine.max_active, "Requests answered at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--max-queue", flags.engine.max_queued, "Requests that wait; others get 429")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_option("--timeout", flags.timeout_s, "Seconds for one request, waiting included")
      ->check(CheckTimeout)
      ->capture_default_str();
  app.add_option(
         "--context", flags.engine.context_tokens,
         "Tokens of a conversation, images included; 0 means what the model was trained for")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-tokens", server.max_tokens, "Longest answer, in tokens")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--memory", flags.memory,
                 "Memory that the server keeps within, model included, for example 2G; what does\n"
                 "not fit is refused with 503 or 413 (default: no limit for all together)")
      ->type_name("SIZE")
      ->check([](const std::string& text) {
        return ParseMemory(text) ? std::string() : "expected a size, for example 2G or 1536M";
      });
  app.add_option("--limit-per-key", flags.limit_per_key,
                 "What each API key may use: requests at once and tokens a minute, prompts and\n"
                 "answers together, for example 4,20000; 0 means no limit")
      ->type_name("REQUESTS[,TOKENS]")
      ->check([](const std::string& text) {
        return ParseLimitPerKey(text) ? std::string()
                                      : "expected requests and tokens, for example 4,20000";
      });
  app.add_option("--max-encoder-pixels", flags.max_encoder_pixels,
                 "Largest resolution that a request may ask for, as WxH or pixels")
      ->type_name("WxH")
      ->check([](const std::string& text) {
        return ParsePixels(text) ? std::string() : "expected a size, for example 2048x3072";
      })
      ->capture_default_str();
  app.add_option("--max-connections", server.max_connections, "Open connections")
      ->check(CLI::Range(1, 900))
      ->capture_default_str();
  app.add_option("--max-body-mb", flags.max_body_mb, "Largest request, MiB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--max-megapixels", flags.max_megapixels, "Largest image, megapixels")
      ->check(CLI::Range(1, 178))
      ->capture_default_str();
  app.add_option("--image-cache-mb", flags.image_cache_mb,
                 "Memory for images seen before, MiB; 0 keeps none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--prefix-cache-mb", flags.prefix_cache_mb,
                 "Memory for conversations seen before, MiB; 0 keeps none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
}

}  // namespace

CommandFn AddServe(CLI::App& app) {
  auto flags = std::make_shared<ServeFlags>();
  flags->model.options.precision = Precision::kFastest;
  app.footer(
      "Examples:\n"
      "  fastvlm serve\n"
      "  fastvlm serve --model FastVLM-0.5B --precision q8 --port 8081\n"
      "  FASTVLM_API_KEY=secret fastvlm serve --host 0.0.0.0 --tls-cert cert.pem --tls-key "
      "key.pem\n"
      "  curl -s http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\\n"
      "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n"
      "\n"
      "Ctrl-C finishes the answers under way; a second Ctrl-C ends at once.");
  app.add_option("--host", flags->server.host, "Address to listen on; 0.0.0.0 means all")
      ->capture_default_str();
  app.add_option("-p,--port", flags->server.port, "Port; 0 chooses a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--name", flags->server.model_name,
                 "Model name that clients see (default: its directory's)");
  AddModelFlags(app, flags->model);
  AddCacheFlag(app, flags->engine.cache);
  AddAccessFlags(app, *flags);
  AddLimitFlags(app, *flags);
  app.add_flag("-q,--quiet", flags->quiet, "No line for each request on standard error");
  return [flags] { return Run(*flags); };
}

}  // namespace fastvlm
