// The requests of OpenAI's API.
#ifndef FASTVLM_SERVER_OPENAI_REQUEST_H_
#define FASTVLM_SERVER_OPENAI_REQUEST_H_

#include <optional>
#include <string_view>

#include "server/api_error.h"
#include "server/call.h"

namespace fastvlm {

// POST /v1/chat/completions. Beside OpenAI's fields: resolution (512 or "640x448"), top_k, min_p,
// repetition_penalty. temperature is 0 unless given. Fields this server cannot honour are errors
// when they ask for something, unknown ones always.
std::optional<ApiError> ParseChatCompletion(std::string_view body, const CallLimits& limits,
                                            Call* call);

// POST /v1/completions: a text without images, which the model continues as it is.
std::optional<ApiError> ParseCompletion(std::string_view body, const CallLimits& limits,
                                        Call* call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_OPENAI_REQUEST_H_
