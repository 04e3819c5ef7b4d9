#include "server/openai_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "server/common_fields.h"
#include "server/content.h"
#include "server/request_fields.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr int kMaxTopLogprobs = 20;  // OpenAI's limits
constexpr int kMaxCompletionLogprobs = 5;
constexpr size_t kMaxOpenAiStops = 4;
constexpr int kCompletionTokens = 16;  // OpenAI's default

// Fields of both endpoints.
void ReadOpenAiFields(const CallLimits& limits, RequestFields& fields, Call& call) {
  fields.String("model", &call.model);
  ReadSampling("repetition_penalty", fields, call);
  ReadStop("stop", kMaxOpenAiStops, fields, call);
  fields.Bool("stream", &call.stream);
  if (const json* options = fields.Find("stream_options"); options != nullptr) {
    if (!options->is_object()) return fields.Wrong("stream_options", "an object", *options);
    if (!call.stream) {
      return fields.Fail(
          BadRequest("stream_options",
                     "The 'stream_options' parameter is only allowed when 'stream' is "
                     "enabled."));
    }
    RequestFields option_fields(*options, "stream_options.");
    option_fields.Bool("include_usage", &call.include_usage);
    option_fields.Ignore({"include_obfuscation"});
    option_fields.RefuseUnknown();
    if (!option_fields.ok()) fields.Fail(*option_fields.error());
  }
  fields.Refuse("n", 1);
  fields.Refuse("logit_bias");
  fields.Refuse("frequency_penalty");
  fields.Refuse("presence_penalty");
  fields.Ignore({"user"});
  SetMaxTokens(limits.max_tokens, limits, call);
}

void ReadMaxTokens(const char* name, const CallLimits& limits, RequestFields& fields, Call& call) {
  int64_t tokens = 0;
  if (fields.Integer(name, 1, INT64_MAX, &tokens)) SetMaxTokens(tokens, limits, call);
}

void ReadChatLogprobs(RequestFields& fields, Call& call) {
  bool logprobs = false;
  fields.Bool("logprobs", &logprobs);
  int64_t alternatives = 0;
  const bool given = fields.Integer("top_logprobs", 0, kMaxTopLogprobs, &alternatives);
  if (given && alternatives > 0 && !logprobs) {
    fields.Fail(
        BadRequest("top_logprobs", "'top_logprobs' is only allowed when 'logprobs' is enabled."));
  }
  if (logprobs) call.request.top_logprobs = static_cast<int>(alternatives);
}

void ReadResponseFormat(RequestFields& fields, Call& call) {
  const json* format = fields.Find("response_format");
  if (format == nullptr) return;
  if (!format->is_object()) return fields.Wrong("response_format", "an object", *format);
  RequestFields format_fields(*format, "response_format.");
  std::string type;
  format_fields.String("type", &type);
  if (type == "json_object") {
    call.request.generate.json_schema = R"({"type":"object"})";
  } else if (type == "json_schema") {
    const json* wrapper = format_fields.Find("json_schema");
    const json* schema =
        wrapper != nullptr && wrapper->is_object() ? FindMember(*wrapper, "schema") : nullptr;
    if (schema == nullptr || !(schema->is_object() || schema->is_boolean())) {
      return fields.Fail(
          BadRequest("response_format.json_schema.schema",
                     "Missing required parameter: 'response_format.json_schema.schema'."));
    }
    call.request.generate.json_schema = schema->dump();
  } else if (type != "text") {
    format_fields.Wrong("type", "'text', 'json_object' or 'json_schema'", json(type));
  }
  if (!format_fields.ok()) fields.Fail(*format_fields.error());
}

void ReadPrompt(RequestFields& fields, Call& call) {
  const json* prompt = fields.Find("prompt");
  if (prompt != nullptr && prompt->is_array() && prompt->size() == 1) prompt = &(*prompt)[0];
  if (prompt == nullptr) {
    return fields.Fail(BadRequest("prompt", "Missing required parameter: 'prompt'."));
  }
  if (!prompt->is_string() || prompt->get_ref<const std::string&>().empty()) {
    return fields.Wrong("prompt", "one text that is not empty", *prompt);
  }
  call.request.prompt = prompt->get<std::string>();
}

}  // namespace

std::optional<ApiError> ParseChatCompletion(std::string_view body, const CallLimits& limits,
                                            Call* call) {
  std::optional<ApiError> error;
  const json request = ParseRequestJson(body, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOpenAiFields(limits, fields, *call);
  ReadMaxTokens("max_tokens", limits, fields, *call);
  ReadMaxTokens("max_completion_tokens", limits, fields, *call);
  ReadChatLogprobs(fields, *call);
  ReadResponseFormat(fields, *call);
  ReadResolution(fields, *call);
  ReadOpenAiMessages(limits, fields, *call);
  fields.Refuse("tools");
  fields.Refuse("functions");
  fields.Refuse("tool_choice", "none");
  fields.Refuse("function_call", "none");
  fields.Refuse("modalities", json::array({"text"}));
  fields.Refuse("audio");
  fields.Refuse("web_search_options");
  fields.Ignore({"store", "metadata", "service_tier", "parallel_tool_calls", "reasoning_effort",
                 "prediction", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
                 "verbosity"});
  fields.RefuseUnknown();
  return fields.error();
}

std::optional<ApiError> ParseCompletion(std::string_view body, const CallLimits& limits,
                                        Call* call) {
  std::optional<ApiError> error;
  const json request = ParseRequestJson(body, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOpenAiFields(limits, fields, *call);
  SetMaxTokens(kCompletionTokens, limits, *call);
  ReadMaxTokens("max_tokens", limits, fields, *call);
  ReadPrompt(fields, *call);
  int64_t logprobs = 0;
  if (fields.Integer("logprobs", 0, kMaxCompletionLogprobs, &logprobs)) {
    call->request.top_logprobs = static_cast<int>(logprobs);
  }
  fields.Refuse("best_of", 1);
  fields.Refuse("echo");
  fields.Refuse("suffix");
  fields.RefuseUnknown();
  return fields.error();
}

}  // namespace fastvlm
