#include "server/messages_request.h"

#include <string>

#include "server/common_fields.h"
#include "server/content.h"
#include "server/request_fields.h"

namespace fastvlm {
namespace {

constexpr SamplingNames kAnthropicSampling = {"repetition_penalty", /*max_temperature=*/2};

// `name`: {"type": "json_schema", "schema": ...}
void ReadOutputFormat(const char* name, RequestFields& fields, Call& call) {
  const Json* format = fields.Find(name);
  if (format == nullptr) return;
  if (!format->is_object()) return fields.Wrong(name, "an object", *format);
  RequestFields format_fields(*format, fields.Name(name) + ".");
  std::string type;
  format_fields.String("type", &type);
  const Json* schema = format_fields.Find("schema");
  if (type != "json_schema") {
    format_fields.Wrong("type", "'json_schema'", Json(type));
  } else if (schema == nullptr) {
    const std::string param = format_fields.Name("schema");
    format_fields.Fail(BadRequest(param, "Missing required parameter: '" + param + "'."));
  } else {
    SetSchema(*schema, format_fields.Name("schema"), format_fields, call);
  }
  format_fields.RefuseUnknown();
  fields.Join(format_fields);
}

void ReadOutputConfig(RequestFields& fields, Call& call) {
  ReadOutputFormat("output_format", fields, call);  // its older place
  const Json* config = fields.Find("output_config");
  if (config == nullptr) return;
  if (!config->is_object()) return fields.Wrong("output_config", "an object", *config);
  RequestFields config_fields(*config, "output_config.");
  ReadOutputFormat("format", config_fields, call);
  config_fields.Ignore({"effort"});
  config_fields.RefuseUnknown();
  fields.Join(config_fields);
}

// The beginning of an answer that the client writes itself cannot be continued: the answer is a
// message of its own.
void RefusePrefill(RequestFields& fields, const Call& call) {
  if (!fields.ok() || call.request.messages.back().role != Role::kAssistant) return;
  fields.Fail(BadRequest("messages",
                         "This server does not continue a message of the assistant: the "
                         "conversation must end with a message of the role 'user'."));
}

void ReadAnthropicFields(const CallLimits& limits, RequestFields& fields, Call& call) {
  SetMaxTokens(limits.max_tokens, limits, call);
  fields.String("model", &call.model);
  ReadSystem("system", limits, fields, call);
  ReadMessages(limits, fields, call);
  RefusePrefill(fields, call);
  ReadSampling(kAnthropicSampling, fields, call);
  ReadStop("stop_sequences", fields, call);
  fields.Bool("stream", &call.stream);
  ReadOutputConfig(fields, call);
  ReadResponseFormat(fields, call);  // where the other APIs have it
  ReadFormat("format", fields, call);
  ReadResolution(fields, call);
  ReadTools(fields, call);
  fields.Refuse("container");
  fields.Refuse("mcp_servers");
  fields.Ignore({"metadata", "service_tier", "thinking", "cache_control", "inference_geo", "speed",
                 "diagnostics", "context_management", "user_profile_id", "workspace_id"});
}

}  // namespace

std::optional<ApiError> ParseAnthropicMessages(std::string_view body, const CallLimits& limits,
                                               Call* call) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadAnthropicFields(limits, fields, *call);
  int64_t tokens = 0;
  if (fields.Integer("max_tokens", 1, INT64_MAX, &tokens)) {
    SetMaxTokens(tokens, limits, *call);
  } else {
    fields.Fail(BadRequest("max_tokens", "Missing required parameter: 'max_tokens'."));
  }
  fields.RefuseUnknown();
  return fields.error();
}

std::optional<ApiError> ParseAnthropicCount(std::string_view body, const CallLimits& limits,
                                            Call* call) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  ReadAnthropicFields(limits, fields, *call);
  fields.Ignore({"max_tokens"});
  fields.RefuseUnknown();
  return fields.error();
}

}  // namespace fastvlm
