// GET /v1/models, GET /v1/models/{name}
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/printable.h"
#include "server/ollama_format.h"
#include "server/routes/routes.h"

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

ordered_json ModelEntry(const ServerContext& context) {
  const ModelInfo& info = context.engine.model().info();
  return {{"id", context.options.model_name},
          {"object", "model"},
          {"created", context.created},
          {"owned_by", "fastvlm"},
          // Anthropic's clients ask for the same path and read these.
          {"type", "model"},
          {"display_name", context.options.model_name},
          {"created_at", Timestamp(context.created)},
          // Beyond OpenAI's fields: what the web page and curious clients choose by.
          {"context_tokens", info.context_tokens},
          {"image_size", info.image_size},
          {"pixels_per_token", info.pixels_per_token}};
}

}  // namespace

void ListModels(ServerContext& context, Exchange& exchange) {
  const ordered_json body = {{"object", "list"},
                             {"data", ordered_json::array({ModelEntry(context)})},
                             {"has_more", false},
                             {"first_id", context.options.model_name},
                             {"last_id", context.options.model_name}};
  SendJson(200, body.dump(), exchange.response);
}

void ShowModel(ServerContext& context, Exchange& exchange) {
  const std::string_view name =
      std::string_view(exchange.request.path).substr(std::string_view("/v1/models/").size());
  if (name == context.options.model_name) {
    return SendJson(200, ModelEntry(context).dump(), exchange.response);
  }
  ApiError error = NotFoundError(fmt::format("The model {} does not exist; this server has {}.",
                                             Quoted(name), Quoted(context.options.model_name)));
  error.code = "model_not_found";
  SendError(error, Dialect::kOpenAi, exchange.response);
}

}  // namespace fastvlm
