// Anthropic's API: POST /v1/messages and /v1/messages/count_tokens
#include <nlohmann/json.hpp>
#include <utility>

#include "server/messages_format.h"
#include "server/messages_request.h"
#include "server/routes/answer.h"
#include "server/routes/routes.h"

namespace fastvlm {

void AnthropicMessages(ServerContext& context, Exchange& exchange) {
  Call call;
  if (const auto error =
          ParseAnthropicMessages(std::exchange(exchange.body, {}), context.limits, &call)) {
    return SendError(*error, Dialect::kAnthropic, exchange.response);
  }
  auto format = AnthropicMessagesFormat(call, context.options.model_name);
  AnswerCall(context, exchange, Dialect::kAnthropic, std::move(call), std::move(format));
}

void AnthropicCountTokens(ServerContext& context, Exchange& exchange) {
  Call call;
  if (const auto error =
          ParseAnthropicCount(std::exchange(exchange.body, {}), context.limits, &call)) {
    return SendError(*error, Dialect::kAnthropic, exchange.response);
  }
  // Of what is no picture there is nothing to count.
  if (const auto error = LoadImages(context, exchange, call)) {
    return SendError(*error, Dialect::kAnthropic, exchange.response);
  }
  const Result<int64_t> tokens = context.engine.CountTokens(call.request);
  if (!tokens.ok()) {
    return SendError(FromStatus(tokens.status()), Dialect::kAnthropic, exchange.response);
  }
  SendJson(200, nlohmann::json{{"input_tokens", *tokens}}.dump(), exchange.response);
}

}  // namespace fastvlm
