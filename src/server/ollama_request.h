// The requests of Ollama's API.
#ifndef FASTVLM_SERVER_OLLAMA_REQUEST_H_
#define FASTVLM_SERVER_OLLAMA_REQUEST_H_

#include <optional>
#include <string_view>

#include "server/api_error.h"
#include "server/call.h"

namespace fastvlm {

// POST /api/chat. As Ollama does, it streams unless told otherwise and passes over unknown fields.
// A request without messages only asks whether the model is there; call->request.messages is empty
// then.
std::optional<ApiError> ParseOllamaChat(std::string_view body, const CallLimits& limits,
                                        Call* call);

// POST /api/generate: one question, as a message of the user, or with "raw" as it is.
std::optional<ApiError> ParseOllamaGenerate(std::string_view body, const CallLimits& limits,
                                            Call* call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_OLLAMA_REQUEST_H_
