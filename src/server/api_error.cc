#include "server/api_error.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/out_of_memory.h"

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

constexpr int kRetryAfterSeconds = 2;

ApiError Make(int status, const char* type, const char* code, std::string message) {
  ApiError error;
  error.status = status;
  error.type = type;
  error.code = code;
  error.message = std::move(message);
  return error;
}

// A field's text may hold what the client sent, valid UTF-8 or not.
std::string Dump(const ordered_json& body) {
  return body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

const char* AnthropicType(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

ordered_json NullIfEmpty(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

}  // namespace

ApiError BadRequest(std::string param, std::string message) {
  ApiError error = Make(400, "invalid_request_error", "", std::move(message));
  error.param = std::move(param);
  return error;
}

ApiError Unauthorized(bool key_given) {
  return Make(401, "invalid_request_error", "invalid_api_key",
              key_given ? "Incorrect API key provided."
                        : "No API key provided; send it as 'Authorization: Bearer KEY' or "
                          "'X-Api-Key: KEY'.");
}

ApiError Forbidden(std::string message) {
  return Make(403, "invalid_request_error", "forbidden", std::move(message));
}

ApiError NotFoundError(std::string message) {
  return Make(404, "invalid_request_error", "not_found", std::move(message));
}

ApiError TooLarge(std::string message) {
  return Make(413, "invalid_request_error", "request_too_large", std::move(message));
}

ApiError UnsupportedMediaType(std::string message) {
  return Make(415, "invalid_request_error", "unsupported_media_type", std::move(message));
}

ApiError TooManyRequests() {
  ApiError error = Make(429, "rate_limit_error", "queue_full",
                        "Too many requests are waiting already; try again later.");
  error.retry_after_s = kRetryAfterSeconds;
  return error;
}

ApiError Unavailable(std::string message) {
  ApiError error = Make(503, "server_error", "unavailable", std::move(message));
  error.retry_after_s = kRetryAfterSeconds;
  return error;
}

ApiError NoMemory(bool alone) {
  if (alone) return TooLarge("The request takes more memory than the server has for all of them.");
  return Unavailable("All requests together take too much memory; try again later.");
}

ApiError FromStatus(const Status& status, std::string param) {
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kDataError:
    case StatusCode::kUnsupported:
      return BadRequest(std::move(param), status.message());
    case StatusCode::kResourceExhausted:
      return IsOutOfMemory(status) ? Unavailable(status.message()) : TooManyRequests();
    case StatusCode::kTimedOut:
      return Make(504, "server_error", "timeout", status.message());
    case StatusCode::kCancelled:
      return Unavailable("The server is shutting down.");
    default:
      return Make(500, "server_error", "internal_error", status.message());
  }
}

std::string OpenAiErrorBody(const ApiError& error) {
  return Dump({{"error",
                {{"message", error.message},
                 {"type", error.type},
                 {"param", NullIfEmpty(error.param)},
                 {"code", NullIfEmpty(error.code)}}}});
}

std::string OllamaErrorBody(const ApiError& error) { return Dump({{"error", error.message}}); }

std::string AnthropicErrorBody(const ApiError& error) {
  return Dump({{"type", "error"},
               {"error", {{"type", AnthropicType(error.status)}, {"message", error.message}}}});
}

}  // namespace fastvlm
