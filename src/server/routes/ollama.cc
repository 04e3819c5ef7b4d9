// Ollama's API: POST /api/chat, /api/generate and /api/show, GET /api/tags, /api/ps and
// /api/version
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "fastvlm/system.h"
#include "server/ollama_format.h"
#include "server/ollama_request.h"
#include "server/routes/answer.h"
#include "server/routes/routes.h"

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

const char* QuantizationName(Precision precision) {
  switch (precision) {
    case Precision::kFastest:   // no model that is loaded
    case Precision::kAsStored:  // has one of these two
      break;
    case Precision::kF32:
      return "F32";
    case Precision::kBf16:
      return "BF16";
    case Precision::kQ8:
      return "Q8_0";
    case Precision::kQ4:
      return "Q4_0";
  }
  return "";
}

ordered_json Details(const ModelInfo& info) {
  const int64_t parameters =
      info.vision_parameters + info.projector_parameters + info.decoder_parameters;
  return {{"parent_model", ""},
          {"format", info.layout},
          {"family", "fastvlm"},
          {"families", ordered_json::array({"fastvlm"})},
          {"parameter_size", fmt::format("{:.1f}M", static_cast<double>(parameters) / 1e6)},
          {"quantization_level", QuantizationName(info.precision)}};
}

ordered_json TagEntry(const ServerContext& context) {
  const ModelInfo& info = context.engine.model().info();
  return {{"name", context.options.model_name},
          {"model", context.options.model_name},
          {"size", info.file_bytes},
          {"digest", context.identity.digest},
          {"details", Details(info)}};
}

// A request without a question: clients load a model this way.
void SendLoaded(const ServerContext& context, bool chat, httplib::Response& response) {
  ordered_json body = {{"model", context.options.model_name}, {"created_at", TimestampNow()}};
  if (chat) {
    body["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    body["response"] = "";
  }
  body["done"] = true;
  body["done_reason"] = "load";
  SendJson(200, body.dump() + "\n", response);
}

}  // namespace

void OllamaChat(ServerContext& context, Exchange& exchange) {
  Call call;
  if (const auto error = ParseOllamaChat(std::exchange(exchange.body, {}), context.limits, &call)) {
    return SendError(*error, Dialect::kOllama, exchange.response);
  }
  if (call.request.messages.empty()) return SendLoaded(context, /*chat=*/true, exchange.response);
  AnswerCall(context, exchange, Dialect::kOllama, std::move(call),
             OllamaChatFormat(context.options.model_name));
}

void OllamaGenerate(ServerContext& context, Exchange& exchange) {
  Call call;
  if (const auto error =
          ParseOllamaGenerate(std::exchange(exchange.body, {}), context.limits, &call)) {
    return SendError(*error, Dialect::kOllama, exchange.response);
  }
  if (call.request.messages.empty() && !call.request.prompt.has_value()) {
    return SendLoaded(context, /*chat=*/false, exchange.response);
  }
  AnswerCall(context, exchange, Dialect::kOllama, std::move(call),
             OllamaGenerateFormat(context.options.model_name));
}

void OllamaTags(ServerContext& context, Exchange& exchange) {
  ordered_json model = TagEntry(context);
  model["modified_at"] = Timestamp(context.identity.modified);
  SendJson(200, ordered_json{{"models", ordered_json::array({std::move(model)})}}.dump(),
           exchange.response);
}

void OllamaPs(ServerContext& context, Exchange& exchange) {
  ordered_json model = TagEntry(context);
  model["expires_at"] = "9999-12-31T23:59:59Z";  // it stays loaded
  model["size_vram"] = 0;                        // the model runs on the CPU
  model["context_length"] = context.engine.model().info().context_tokens;
  SendJson(200, ordered_json{{"models", ordered_json::array({std::move(model)})}}.dump(),
           exchange.response);
}

void OllamaShow(ServerContext& context, Exchange& exchange) {
  const ModelInfo& info = context.engine.model().info();
  const ordered_json body = {
      {"modified_at", Timestamp(context.identity.modified)},
      {"details", Details(info)},
      {"model_info",
       {{"general.architecture", "fastvlm"}, {"fastvlm.context_length", info.context_tokens}}},
      {"capabilities", ordered_json::array({"completion", "vision"})}};
  SendJson(200, body.dump(), exchange.response);
}

void OllamaVersion(ServerContext&, Exchange& exchange) {
  SendJson(200, ordered_json{{"version", Version()}}.dump(), exchange.response);
}

}  // namespace fastvlm
