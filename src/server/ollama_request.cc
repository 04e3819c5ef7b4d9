#include "server/ollama_request.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "server/common_fields.h"
#include "server/content.h"
#include "server/request_fields.h"

namespace fastvlm {
namespace {

constexpr SamplingNames kOllamaSampling = {"repeat_penalty", /*max_temperature=*/100};

void ReadOptions(const CallLimits& limits, RequestFields& fields, Call& call) {
  const Json* options = fields.Find("options");
  if (options == nullptr) return;
  if (!options->is_object()) return fields.Wrong("options", "an object", *options);
  RequestFields option_fields(*options, "options.");
  ReadSampling(kOllamaSampling, option_fields, call);
  ReadStop("stop", option_fields, call);
  // Clients of Ollama have no other place for fields of our own.
  ReadResolution(option_fields, call);
  ReadBackground(option_fields, call);
  int64_t tokens = 0;
  // A negative number means that the client sets no limit.
  if (option_fields.Integer("num_predict", -2, INT64_MAX, &tokens) && tokens > 0) {
    SetMaxTokens(tokens, limits, call);
  }
  // How Ollama runs its models.
  option_fields.Ignore({"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep",
                        "use_mmap", "use_mlock", "low_vram", "f16_kv", "vocab_only", "numa",
                        "logits_all", "penalize_newline"});
  option_fields.RefuseUnknown();
  fields.Join(option_fields);
}

void ReadOllamaFields(const CallLimits& limits, RequestFields& fields, Call& call) {
  call.stream = true;
  SetMaxTokens(limits.max_tokens, limits, call);
  fields.String("model", &call.model);
  fields.Bool("stream", &call.stream);
  ReadOptions(limits, fields, call);
  ReadResolution(fields, call);
  ReadBackground(fields, call);
  ReadTools(fields, call);
  ReadFormat("format", fields, call);
  ReadResponseFormat(fields, call);
  fields.Ignore({"keep_alive", "think", "truncate", "shift"});
}

}  // namespace

std::optional<ApiError> ParseOllamaChat(std::string_view body, const CallLimits& limits,
                                        Call* call) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadOllamaFields(limits, fields, *call);
  const Json* messages = fields.Find("messages");
  if (messages != nullptr && !(messages->is_array() && messages->empty())) {
    ReadMessages(limits, fields, *call);
  }
  fields.RefuseUnknown();
  return fields.error();
}

std::optional<ApiError> ParseOllamaGenerate(std::string_view body, const CallLimits& limits,
                                            Call* call) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
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
  fields.Refuse("context");
  Message user;
  ReadImageList(limits, fields, user, *call);
  fields.RefuseUnknown();
  if (!fields.ok()) return fields.error();
  if (raw && !call->images.empty()) {
    return BadRequest("raw", "With 'raw' there can be no images.");
  }
  if (raw && !prompt.empty()) {
    call->request.prompt = std::move(prompt);
  } else if (!prompt.empty() || !call->images.empty()) {
    if (system.find_first_not_of(" \t\r\n") != std::string::npos) {
      call->request.messages.push_back(
          {Role::kSystem, {{NeutralizeControlTokens(system), nullptr}}});
    }
    user.content.push_back({NeutralizeControlTokens(prompt), nullptr});
    call->request.messages.push_back(std::move(user));
  }
  return fields.error();
}

}  // namespace fastvlm
