// POST /v1/chat/completions
#include <utility>

#include "server/openai_format.h"
#include "server/openai_request.h"
#include "server/routes/answer.h"
#include "server/routes/routes.h"

namespace fastvlm {

void ChatCompletions(ServerContext& context, Exchange& exchange) {
  Call call;
  if (const auto error =
          ParseChatCompletion(std::exchange(exchange.body, {}), context.limits, &call)) {
    return SendError(*error, Dialect::kOpenAi, exchange.response);
  }
  auto format = OpenAiChatFormat(call, context.options.model_name);
  AnswerCall(context, exchange, Dialect::kOpenAi, std::move(call), std::move(format));
}

}  // namespace fastvlm
