#include "server/openai_request.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "server/common_fields.h"
#include "server/content.h"
#include "server/request_fields.h"

namespace fastvlm {
namespace {

constexpr SamplingNames kOpenAiSampling = {"repetition_penalty", /*max_temperature=*/2};
constexpr int kMaxTopLogprobs = 20;  // OpenAI's limits
constexpr int kMaxCompletionLogprobs = 5;
constexpr int kCompletionTokens = 16;  // OpenAI's default

// Fields of both endpoints.
void ReadOpenAiFields(const CallLimits& limits, RequestFields& fields, Call& call) {
  fields.String("model", &call.model);
  ReadSampling(kOpenAiSampling, fields, call);
  if (fields.Find("repetition_penalty") == nullptr) {  // llama.cpp's name for it
    fields.Number("repeat_penalty", FieldRange{0, 100, /*above_low=*/true},
                  &call.request.generate.sampling.repetition_penalty);
  }
  ReadStop("stop", fields, call);
  fields.Bool("stream", &call.stream);
  if (const Json* options = fields.Find("stream_options"); options != nullptr) {
    if (!options->is_object()) return fields.Wrong("stream_options", "an object", *options);
    if (!call.stream) {
      return fields.Fail(
          BadRequest("stream_options",
                     "The 'stream_options' parameter is only allowed when 'stream' is "
                     "enabled."));
    }
    RequestFields option_fields(*options, "stream_options.");
    option_fields.Bool("include_usage", &call.include_usage);
    option_fields.Ignore({"include_obfuscation", "continuous_usage_stats"});
    option_fields.RefuseUnknown();
    fields.Join(option_fields);
  }
  fields.Refuse("n", 1);
  fields.Refuse("logit_bias");
  fields.Ignore({"user", "cache_prompt", "timings_per_token", "return_progress", "keep_alive"});
  SetMaxTokens(limits.max_tokens, limits, call);
}

void ReadMaxTokens(const char* name, const CallLimits& limits, RequestFields& fields, Call& call) {
  if (const Json* value = fields.Find(name); value != nullptr && *value == -1) {
    return SetMaxTokens(limits.max_tokens, limits, call);  // no limit but the server's
  }
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

void ReadPrompt(RequestFields& fields, Call& call) {
  const Json* prompt = fields.Find("prompt");
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
  const Json request = ParseRequestJson(body, &call->notes, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOpenAiFields(limits, fields, *call);
  ReadMaxTokens("max_tokens", limits, fields, *call);
  ReadMaxTokens("max_completion_tokens", limits, fields, *call);
  ReadChatLogprobs(fields, *call);
  ReadResponseFormat(fields, *call);
  // Where llama.cpp, vLLM and Ollama have a schema.
  for (const char* name : {"json_schema", "guided_json", "format"}) ReadFormat(name, fields, *call);
  ReadResolution(fields, *call);
  ReadBackground(fields, *call);
  ReadMessages(limits, fields, *call);
  ReadTools(fields, *call);
  fields.Refuse("modalities", Json::array({"text"}));
  fields.Refuse("audio");
  fields.Refuse("web_search_options");
  fields.Ignore({"store", "metadata", "service_tier", "parallel_tool_calls", "reasoning_effort",
                 "prediction", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
                 "verbosity", "enable_thinking", "chat_template_kwargs", "reasoning",
                 "reasoning_format", "think", "add_generation_prompt"});
  fields.RefuseUnknown();
  return fields.error();
}

std::optional<ApiError> ParseCompletion(std::string_view body, const CallLimits& limits,
                                        Call* call) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
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
