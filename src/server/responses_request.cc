#include "server/responses_request.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "server/common_fields.h"
#include "server/content.h"

namespace fastvlm {
namespace {

constexpr SamplingNames kResponsesSampling = {"repetition_penalty", /*max_temperature=*/2};
constexpr int kMaxResponseLogprobs = 20;  // OpenAI's limits
constexpr size_t kMaxMetadata = 16;

ApiError NotStored(const std::string& param, const char* instead) {
  ApiError error = BadRequest(
      param, fmt::format("Unsupported parameter: '{}': this server stores no responses; {}.", param,
                         instead));
  error.code = "unsupported_parameter";
  return error;
}

// Whatever a server that keeps responses would look up.
void RefuseStored(RequestFields& fields) {
  for (const char* name : {"previous_response_id", "conversation"}) {
    const Json* value = fields.Find(name);
    if (value == nullptr || *value == "") continue;
    fields.Fail(NotStored(name, "send the whole conversation as 'input'"));
  }
  if (fields.Find("prompt") != nullptr) {
    fields.Fail(NotStored("prompt", "send its text as 'instructions' or 'input'"));
  }
  bool background = false;
  fields.Bool("background", &background);
  if (background) {
    fields.Fail(NotStored("background", "wait for the answer, or set 'stream' to true"));
  }
}

void ReadItem(const Json& item, const std::string& param, const CallLimits& limits,
              RequestFields& fields, Call& call) {
  const Json type = item.is_object() ? item.value("type", Json()) : Json();
  if (type == "reasoning") return;  // what another model thought
  if (type == "item_reference") {
    return fields.Fail(NotStored(param, "send the item itself"));
  }
  if (!type.is_null() && type != "message") {
    ApiError error =
        BadRequest(param + ".type", fmt::format("Invalid value for '{}.type': this server takes "
                                                "items of the type 'message', found {}.",
                                                param, ShownValue(type)));
    return fields.Fail(std::move(error));
  }
  ReadMessage(item, param, limits, fields, call);
}

void ReadInput(const CallLimits& limits, RequestFields& fields, Call& call) {
  const Json* input = fields.Find("input");
  if (input == nullptr) {
    return fields.Fail(BadRequest("input", "Missing required parameter: 'input'."));
  }
  if (input->is_string()) {
    const std::string text = NeutralizeControlTokens(input->get_ref<const std::string&>());
    return call.request.messages.push_back({Role::kUser, {{text, nullptr}}});
  }
  if (!input->is_array()) return fields.Wrong("input", "a string or a list of items", *input);
  const size_t before = call.request.messages.size();
  for (size_t i = 0; i < input->size() && fields.ok(); ++i) {
    ReadItem((*input)[i], fmt::format("input[{}]", i), limits, fields, call);
  }
  if (fields.ok() && call.request.messages.size() == before) {
    fields.Fail(BadRequest("input", "Invalid 'input': expected at least one message."));
  }
}

// text.format; unlike response_format it has the schema beside the type.
void ReadTextFormat(RequestFields& text, Call& call, ResponsesEcho& echo) {
  const Json* format = text.Find("format");
  if (format == nullptr) return;
  if (!format->is_object()) return text.Wrong("format", "an object", *format);
  RequestFields format_fields(*format, "text.format.");
  std::string type;
  format_fields.String("type", &type);
  if (type == "json_schema") {
    const Json* schema = format_fields.Find("schema");
    format_fields.Ignore({"name", "strict", "description"});
    if (schema == nullptr) {
      return text.Fail(
          BadRequest("text.format.schema", "Missing required parameter: 'text.format.schema'."));
    }
    SetSchema(*schema, "text.format.schema", format_fields, call);
  } else if (type == "json_object") {
    SetAnyObject("text.format", format_fields, call);
  } else if (type != "text") {
    format_fields.Wrong("type", "'text', 'json_object' or 'json_schema'", Json(type));
  }
  format_fields.RefuseUnknown();
  text.Join(format_fields);
  if (text.ok()) echo.format = *format;
}

void ReadTextOptions(RequestFields& fields, Call& call, ResponsesEcho& echo) {
  const Json* text = fields.Find("text");
  if (text == nullptr) return;
  if (!text->is_object()) return fields.Wrong("text", "an object", *text);
  RequestFields text_fields(*text, "text.");
  ReadTextFormat(text_fields, call, echo);
  text_fields.Ignore({"verbosity"});
  text_fields.RefuseUnknown();
  fields.Join(text_fields);
}

void ReadResponseLogprobs(RequestFields& fields, Call& call) {
  bool wanted = false;
  if (const Json* include = fields.Find("include"); include != nullptr) {
    if (!include->is_array()) return fields.Wrong("include", "a list", *include);
    for (const Json& name : *include) {
      if (name == "message.output_text.logprobs") {
        wanted = true;
      } else if (name != "reasoning.encrypted_content") {  // there is none to include
        return fields.Wrong("include", "\"message.output_text.logprobs\"", name);
      }
    }
  }
  int64_t alternatives = 0;
  if (fields.Integer("top_logprobs", 0, kMaxResponseLogprobs, &alternatives) && alternatives > 0) {
    wanted = true;
  }
  if (wanted) call.request.top_logprobs = static_cast<int>(alternatives);
}

void ReadStreamOptions(RequestFields& fields) {
  const Json* options = fields.Find("stream_options");
  if (options == nullptr) return;
  if (!options->is_object()) return fields.Wrong("stream_options", "an object", *options);
  RequestFields option_fields(*options, "stream_options.");
  option_fields.Ignore({"include_obfuscation", "include_usage"});  // the usage is always there
  option_fields.RefuseUnknown();
  fields.Join(option_fields);
}

void ReadMetadata(RequestFields& fields, ResponsesEcho& echo) {
  const Json* metadata = fields.Find("metadata");
  if (metadata == nullptr) return;
  if (!metadata->is_object() || metadata->size() > kMaxMetadata) {
    return fields.Wrong("metadata", fmt::format("an object with at most {} keys", kMaxMetadata),
                        *metadata);
  }
  echo.metadata = *metadata;
}

}  // namespace

std::optional<ApiError> ParseResponses(std::string_view body, const CallLimits& limits, Call* call,
                                       ResponsesEcho* echo) {
  std::optional<ApiError> error;
  const Json request = ParseRequestJson(body, &call->notes, &error);
  if (error.has_value()) return error;
  RequestFields fields(request);
  fields.String("model", &call->model);
  RefuseStored(fields);
  if (const Json* instructions = fields.Find("instructions")) echo->instructions = *instructions;
  ReadSystem("instructions", limits, fields, *call);
  ReadInput(limits, fields, *call);
  ReadSampling(kResponsesSampling, fields, *call);
  ReadStop("stop", fields, *call);
  fields.Bool("stream", &call->stream);
  ReadStreamOptions(fields);
  SetMaxTokens(limits.max_tokens, limits, *call);
  int64_t tokens = 0;
  if (fields.Integer("max_output_tokens", 1, INT64_MAX, &tokens)) {
    SetMaxTokens(tokens, limits, *call);
    echo->max_output_tokens = tokens;
  }
  ReadTextOptions(fields, *call, *echo);
  ReadResponseFormat(fields, *call);  // where the older API has it
  for (const char* name : {"json_schema", "guided_json", "format"}) ReadFormat(name, fields, *call);
  ReadResponseLogprobs(fields, *call);
  ReadResolution(fields, *call);
  ReadTools(fields, *call);
  ReadMetadata(fields, *echo);
  fields.Refuse("moderation");
  fields.Ignore({"store", "parallel_tool_calls", "max_tool_calls", "reasoning", "service_tier",
                 "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
                 "prompt_cache_options", "truncation", "user", "context_management"});
  fields.RefuseUnknown();
  return fields.error();
}

}  // namespace fastvlm
