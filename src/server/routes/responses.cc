// POST /v1/responses
#include "server/responses_format.h"
#include "server/responses_request.h"
#include "server/routes/answer.h"
#include "server/routes/routes.h"

#include <utility>

namespace fastvlm {

void Responses(ServerContext& context, Exchange& exchange) {
  Call call;
  ResponsesEcho echo;
  if (const auto error =
          ParseResponses(std::exchange(exchange.body, {}), context.limits, &call, &echo)) {
    return SendError(*error, Dialect::kOpenAi, exchange.response);
  }
  auto format = OpenAiResponsesFormat(call, std::move(echo), context.options.model_name);
  AnswerCall(context, exchange, Dialect::kOpenAi, std::move(call), std::move(format));
}

}  // namespace fastvlm
