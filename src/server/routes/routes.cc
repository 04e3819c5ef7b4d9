#include "server/routes/routes.h"

#include <unistd.h>

#include <array>
#include <ctime>
#include <utility>

#include "server/routes/page.h"

namespace fastvlm {
namespace {

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Dialect::kOpenAi, false, false, ChatCompletions},
    {"POST", "/v1/completions", Dialect::kOpenAi, false, false, Completions},
    {"POST", "/v1/responses", Dialect::kOpenAi, false, false, Responses},
    {"POST", "/v1/messages", Dialect::kAnthropic, false, false, AnthropicMessages},
    {"POST", "/v1/messages/count_tokens", Dialect::kAnthropic, false, false, AnthropicCountTokens},
    {"GET", "/v1/models", Dialect::kOpenAi, false, false, ListModels},
    {"GET", "/v1/models/", Dialect::kOpenAi, false, true, ShowModel},
    {"GET", "/health", Dialect::kOpenAi, true, false, Health},
    {"GET", "/metrics", Dialect::kOpenAi, false, false, ShowMetrics},
    {"POST", "/api/chat", Dialect::kOllama, false, false, OllamaChat},
    {"POST", "/api/generate", Dialect::kOllama, false, false, OllamaGenerate},
    {"GET", "/api/tags", Dialect::kOllama, false, false, OllamaTags},
    {"GET", "/api/ps", Dialect::kOllama, false, false, OllamaPs},
    {"POST", "/api/show", Dialect::kOllama, false, false, OllamaShow},
    {"GET", "/api/version", Dialect::kOllama, false, false, OllamaVersion},
};

// The page needs no key, since it is what asks the user for one.
constexpr Route kPage = {"GET", "/", Dialect::kOpenAi, true, false, Page};

bool Serves(const Route& route, std::string_view path) {
  return route.is_prefix ? path.starts_with(route.path) && path != route.path : path == route.path;
}

ImageLoaderOptions LoaderOptions(const ServerOptions& options) {
  ImageLoaderOptions loader;
  loader.image = options.image;
  loader.remote.max_bytes = options.max_body_bytes;
  return loader;
}

AccessOptions AccessOptionsOf(const ServerOptions& options) {
  AccessOptions access;
  access.api_keys = options.api_keys;
  access.cors_origins = options.cors_origins;
  access.allowed_hosts = options.allowed_hosts;
  access.allowed_hosts.push_back(options.host);
  access.loopback = IsLoopbackName(options.host);
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) access.machine_name = name.data();
  return access;
}

std::string ErrorBody(const ApiError& error, Dialect dialect) {
  switch (dialect) {
    case Dialect::kOllama:
      return OllamaErrorBody(error);
    case Dialect::kAnthropic:
      return AnthropicErrorBody(error);
    case Dialect::kOpenAi:
      break;
  }
  return OpenAiErrorBody(error);
}

}  // namespace

ServerContext::ServerContext(Engine& engine_in, const ServerOptions& options_in)
    : engine(engine_in),
      options(options_in),
      limits{options.max_tokens, options.max_images, options.max_encoder_pixels,
             options.allow_remote_images},
      access(AccessOptionsOf(options)),
      created(static_cast<int64_t>(std::time(nullptr))),
      identity(IdentifyModel(engine.model().info().directory)),
      key_limits(options.limit_per_key, options.api_keys.size()),
      memory(options.max_request_bytes),
      images(LoaderOptions(options)) {}

std::span<const Route> Routes() { return kRoutes; }

const Route* FindRoute(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  for (const Route& route : kRoutes) {
    if (method == route.method && Serves(route, path)) return &route;
  }
  return method == kPage.method && IsPage(path) ? &kPage : nullptr;
}

std::string MethodsOf(std::string_view path) {
  if (IsPage(path)) return "GET, HEAD";
  std::string methods;
  for (const Route& route : kRoutes) {
    if (!Serves(route, path)) continue;
    if (!methods.empty()) methods += ", ";
    methods += route.method;
    if (std::string_view(route.method) == "GET") methods += ", HEAD";
  }
  return methods;
}

void SendJson(int status, const std::string& body, httplib::Response& response) {
  response.status = status;
  response.set_content(body, "application/json");
}

void SendError(const ApiError& error, Dialect dialect, httplib::Response& response) {
  if (error.retry_after_s > 0) {
    response.set_header("Retry-After", std::to_string(error.retry_after_s));
  }
  if (error.status == 401) response.set_header("WWW-Authenticate", "Bearer");
  SendJson(error.status, ErrorBody(error, dialect), response);
}

}  // namespace fastvlm
