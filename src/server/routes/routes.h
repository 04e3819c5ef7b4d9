// The table of routes, and what their handlers work with.
#ifndef FASTVLM_SERVER_ROUTES_ROUTES_H_
#define FASTVLM_SERVER_ROUTES_ROUTES_H_

#include <httplib.h>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fastvlm/engine.h"
#include "server/access.h"
#include "server/api_error.h"
#include "server/call.h"
#include "server/connection.h"
#include "server/image_loader.h"
#include "server/key_limits.h"
#include "server/memory_budget.h"
#include "server/metrics.h"
#include "server/model_digest.h"
#include "server/server.h"

namespace fastvlm {

// What all requests share.
struct ServerContext {
  ServerContext(Engine& engine_in, const ServerOptions& options_in);

  Engine& engine;
  const ServerOptions& options;
  const CallLimits limits;
  const Access access;
  const int64_t created;  // seconds since 1970
  const ModelIdentity identity;
  Metrics metrics;
  KeyLimits key_limits;
  MemoryBudget memory;
  ImageLoader images;
  std::function<int()> connections;
  std::function<bool()> stopping;
};

// One request and its answer.
struct Exchange {
  const httplib::Request& request;
  httplib::Response& response;
  Connection& connection;
  std::shared_ptr<MemoryShare> memory;
  std::string body;
};

// The API that a route belongs to, which decides how its errors look.
enum class Dialect { kOpenAi, kOllama, kAnthropic };

struct Route {
  const char* method;
  const char* path;
  Dialect dialect;
  bool open;       // needs no API key
  bool is_prefix;  // of the paths it serves
  void (*handle)(ServerContext& context, Exchange& exchange);
};

std::span<const Route> Routes();
// nullptr if there is none. HEAD counts as GET.
const Route* FindRoute(std::string_view method, std::string_view path);
// The methods a path has, "GET, HEAD"; empty: there is no such path.
std::string MethodsOf(std::string_view path);

void SendJson(int status, const std::string& body, httplib::Response& response);
void SendError(const ApiError& error, Dialect dialect, httplib::Response& response);

// The handlers; each file of this folder has those of one subject.
void ChatCompletions(ServerContext& context, Exchange& exchange);
void Completions(ServerContext& context, Exchange& exchange);
void Responses(ServerContext& context, Exchange& exchange);
void AnthropicMessages(ServerContext& context, Exchange& exchange);
void AnthropicCountTokens(ServerContext& context, Exchange& exchange);
void ListModels(ServerContext& context, Exchange& exchange);
void ShowModel(ServerContext& context, Exchange& exchange);
void Health(ServerContext& context, Exchange& exchange);
void ShowMetrics(ServerContext& context, Exchange& exchange);
void OllamaChat(ServerContext& context, Exchange& exchange);
void OllamaGenerate(ServerContext& context, Exchange& exchange);
void OllamaTags(ServerContext& context, Exchange& exchange);
void OllamaPs(ServerContext& context, Exchange& exchange);
void OllamaShow(ServerContext& context, Exchange& exchange);
void OllamaVersion(ServerContext& context, Exchange& exchange);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ROUTES_ROUTES_H_
