// Why a request got no answer, as the clients of OpenAI, Ollama and Anthropic expect to be told.
#ifndef FASTVLM_SERVER_API_ERROR_H_
#define FASTVLM_SERVER_API_ERROR_H_

#include <string>

#include "fastvlm/status.h"

namespace fastvlm {

struct ApiError {
  int status = 400;  // of HTTP
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // the field at fault; empty: none
  std::string code;   // empty: none
  int retry_after_s = 0;
};

ApiError BadRequest(std::string param, std::string message);
ApiError Unauthorized(bool key_given);
ApiError Forbidden(std::string message);
ApiError NotFoundError(std::string message);
ApiError TooLarge(std::string message);
ApiError UnsupportedMediaType(std::string message);
ApiError TooManyRequests();
ApiError Unavailable(std::string message);  // the server is at a limit, or ends
// One request alone (413), or this one beside the others (503), takes more memory than there is.
ApiError NoMemory(bool alone);

// The error of Engine::Submit or of an answer: kResourceExhausted means a full queue
// (429) or a lack of memory (503).
ApiError FromStatus(const Status& status, std::string param = {});

// {"error": {"message", "type", "param", "code"}}
std::string OpenAiErrorBody(const ApiError& error);
// {"error": "message"}
std::string OllamaErrorBody(const ApiError& error);
// {"type": "error", "error": {"type", "message"}}
std::string AnthropicErrorBody(const ApiError& error);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_API_ERROR_H_
