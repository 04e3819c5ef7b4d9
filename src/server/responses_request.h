// The requests of OpenAI's newer API, in which an answer is a "response".
#ifndef FASTVLM_SERVER_RESPONSES_REQUEST_H_
#define FASTVLM_SERVER_RESPONSES_REQUEST_H_

#include <optional>
#include <string_view>

#include "server/api_error.h"
#include "server/call.h"
#include "server/request_fields.h"

namespace fastvlm {

// What a response repeats of its request.
struct ResponsesEcho {
  Json instructions;
  Json max_output_tokens;
  Json metadata = Json::object();
  Json format = {{"type", "text"}};
};

// POST /v1/responses. Nothing is stored: what refers to an earlier response is an error that says
// so.
std::optional<ApiError> ParseResponses(std::string_view body, const CallLimits& limits, Call* call,
                                       ResponsesEcho* echo);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_RESPONSES_REQUEST_H_
