#include "server/ollama_request.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "server/common_fields.h"
#include "server/content.h"
#include "server/request_fields.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kMaxOllamaStops = 16;

void ReadOptions(const CallLimits& limits, RequestFields& fields, Call& call) {
  const json* options = fields.Find("options");
  if (options == nullptr) return;
  if (!options->is_object()) return fields.Wrong("options", "an object", *options);
  RequestFields option_fields(*options, "options.");
  ReadSampling("repeat_penalty", option_fields, call);
  ReadStop("stop", kMaxOllamaStops, option_fields, call);
  int64_t tokens = 0;
  // A negative number means that the client sets no limit.
  if (option_fields.Integer("num_predict", -2, INT64_MAX, &tokens) && tokens > 0) {
    SetMaxTokens(tokens, limits, call);
  }
  if (!option_fields.ok()) fields.Fail(*option_fields.error());
}

void ReadOllamaFields(const CallLimits& limits, RequestFields& fields, Call& call) {
  call.stream = true;
  SetMaxTokens(limits.max_tokens, limits, call);
  fields.String("model", &call.model);
  fields.Bool("stream", &call.stream);
  ReadOptions(limits, fields, call);
  ReadResolution(fields, call);
  fields.Refuse("tools");
  if (const json* format = fields.Find("format"); format != nullptr && *format != "") {
    if (*format == "json") {
      call.request.generate.json_schema = R"({"type":"object"})";
    } else if (format->is_object()) {
      call.request.generate.json_schema = format->dump();
    } else {
      fields.Wrong("format", "\"json\" or a JSON schema", *format);
    }
  }
}

}  // namespace

std::optional<ApiError> ParseOllamaChat(std::string_view body, const CallLimits& limits,
                                        Call* call) {
  std::optional<ApiError> error;
  const json request = ParseRequestJson(body, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOllamaFields(limits, fields, *call);
  const json* messages = fields.Find("messages");
  if (messages != nullptr && !(messages->is_array() && messages->empty())) {
    ReadOllamaMessages(limits, fields, *call);
  }
  return fields.error();
}

std::optional<ApiError> ParseOllamaGenerate(std::string_view body, const CallLimits& limits,
                                            Call* call) {
  std::optional<ApiError> error;
  const json request = ParseRequestJson(body, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOllamaFields(limits, fields, *call);
  std::string prompt;
  std::string system;
  bool raw = false;
  fields.String("prompt", &prompt);
  fields.String("system", &system);
  fields.Bool("raw", &raw);
  fields.Refuse("suffix");
  fields.Refuse("template");
  Message user;
  ReadOllamaImages(limits, fields, user, *call);
  if (!fields.ok()) return fields.error();
  if (raw && !call->images.empty()) {
    return BadRequest("raw", "With 'raw' there can be no images.");
  }
  if (raw && !prompt.empty()) {
    call->request.prompt = std::move(prompt);
  } else if (!prompt.empty() || !call->images.empty()) {
    if (!system.empty()) {
      call->request.messages.push_back(
          {Role::kSystem, {{NeutralizeControlTokens(system), nullptr}}});
    }
    user.content.push_back({NeutralizeControlTokens(prompt), nullptr});
    call->request.messages.push_back(std::move(user));
  }
  return fields.error();
}

}  // namespace fastvlm
