// The requests of Anthropic's API.
#ifndef FASTVLM_SERVER_MESSAGES_REQUEST_H_
#define FASTVLM_SERVER_MESSAGES_REQUEST_H_

#include <optional>
#include <string_view>

#include "server/api_error.h"
#include "server/call.h"

namespace fastvlm {

// POST /v1/messages. temperature is 0 unless given, as in the other APIs of this server.
std::optional<ApiError> ParseAnthropicMessages(std::string_view body, const CallLimits& limits,
                                               Call* call);

// POST /v1/messages/count_tokens: the same without max_tokens.
std::optional<ApiError> ParseAnthropicCount(std::string_view body, const CallLimits& limits,
                                            Call* call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_MESSAGES_REQUEST_H_
