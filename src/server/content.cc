#include "server/content.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "server/base64.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kMaxTokenName = 64;
constexpr size_t kMaxUrl = 4096;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// True if `text` begins with "<|name|>" or "<image>".
bool BeginsWithControlToken(std::string_view text) {
  if (text.starts_with("<image>")) return true;
  if (!text.starts_with("<|")) return false;
  size_t end = 2;
  while (end < text.size() && end < 2 + kMaxTokenName && IsNameCharacter(text[end])) ++end;
  return end > 2 && text.substr(end).starts_with("|>");
}

std::optional<Role> ParseRole(std::string_view name) {
  if (name == "system" || name == "developer") return Role::kSystem;
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  return std::nullopt;
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
         });
}

void AddText(const std::string& text, Message& message) {
  message.content.push_back({NeutralizeControlTokens(text), nullptr});
}

// Fills in where the picture that `text` names is, or returns what is wrong with it.
std::optional<std::string> LocateImage(std::string_view text, bool bare_base64,
                                       const CallLimits& limits, CallImage& source) {
  if (StartsWithIgnoringCase(text, "http://") || StartsWithIgnoringCase(text, "https://")) {
    if (!limits.allow_remote_images) {
      return "Image URLs are not fetched by this server; send the image itself as a data URI "
             "('data:image/jpeg;base64,...'), or start the server with --allow-remote-images.";
    }
    if (text.size() > kMaxUrl) return fmt::format("The image URL is longer than {}.", kMaxUrl);
    source.url = text;
    return std::nullopt;
  }
  if (StartsWithIgnoringCase(text, "data:")) {
    const size_t comma = text.substr(0, 256).find(',');
    if (comma == std::string_view::npos || !text.substr(0, comma).ends_with(";base64")) {
      return "Invalid image: expected a data URI like 'data:image/jpeg;base64,...'.";
    }
    text.remove_prefix(comma + 1);
  } else if (!bare_base64) {
    return "Invalid image URL: expected a data URI ('data:image/jpeg;base64,...').";
  }
  std::optional<std::vector<uint8_t>> file = DecodeBase64(text);
  if (!file.has_value() || file->empty()) return "Invalid image: its data is not base64.";
  source.file = *std::move(file);
  return std::nullopt;
}

// Adds a picture to the message and to call.images. `text` is a data URI, an http(s) URL or, with
// `bare_base64`, base64 alone; `param` says where the request has it.
void AddImage(const std::string& text, bool bare_base64, const std::string& param,
              const CallLimits& limits, RequestFields& fields, Message& message, Call& call) {
  if (message.role != Role::kUser) {
    return fields.Fail(
        BadRequest(param, fmt::format("Invalid value for '{}': only messages of the role 'user' "
                                      "can show images.",
                                      param)));
  }
  if (call.images.size() >= static_cast<size_t>(limits.max_images)) {
    return fields.Fail(BadRequest(
        param, fmt::format("Too many images: at most {} in one request.", limits.max_images)));
  }
  CallImage source;
  source.param = param;
  if (const auto problem = LocateImage(text, bare_base64, limits, source)) {
    return fields.Fail(BadRequest(param, *problem));
  }
  message.content.push_back({"", source.decoded});
  call.images.push_back(std::move(source));
}

void ReadImageUrl(const json& part, const std::string& param, const CallLimits& limits,
                  RequestFields& fields, Message& message, Call& call) {
  RequestFields part_fields(part, param + ".");
  const json* image = part_fields.Find("image_url");
  std::string url;
  if (image != nullptr && image->is_string()) {  // as many clients send it
    url = image->get<std::string>();
  } else if (image != nullptr && image->is_object()) {
    RequestFields image_fields(*image, param + ".image_url.");
    image_fields.String("url", &url);
    std::string detail = "auto";  // there is one way to look at an image
    image_fields.String("detail", &detail);
    if (!image_fields.ok()) return fields.Fail(*image_fields.error());
  }
  if (url.empty()) {
    return fields.Fail(BadRequest(param, fmt::format("Missing required parameter: '{}.image_url."
                                                     "url'.",
                                                     param)));
  }
  AddImage(url, /*bare_base64=*/false, param, limits, fields, message, call);
}

void ReadPart(const json& part, const std::string& param, const CallLimits& limits,
              RequestFields& fields, Message& message, Call& call) {
  if (!part.is_object()) {
    return fields.Fail(
        BadRequest(param, fmt::format("Invalid value for '{}': expected an object, found {}.",
                                      param, ShownValue(part))));
  }
  RequestFields part_fields(part, param + ".");
  std::string type;
  part_fields.String("type", &type);
  if (!part_fields.ok()) return fields.Fail(*part_fields.error());
  if (type == "image_url") return ReadImageUrl(part, param, limits, fields, message, call);
  if (type == "text") {
    std::string text;
    part_fields.String("text", &text);
    if (part_fields.ok() && part_fields.Find("text") == nullptr) {
      part_fields.Fail(
          BadRequest(param, fmt::format("Missing required parameter: '{}.text'.", param)));
    }
    if (!part_fields.ok()) return fields.Fail(*part_fields.error());
    return AddText(text, message);
  }
  fields.Fail(BadRequest(param, fmt::format("Invalid value for '{}.type': expected 'text' or "
                                            "'image_url', found {}.",
                                            param, ShownValue(type))));
}

// The role; false after an error.
bool BeginMessage(const json& value, const std::string& param, RequestFields& fields,
                  RequestFields& message_fields, Message& message) {
  if (!value.is_object()) {
    fields.Fail(
        BadRequest(param, fmt::format("Invalid value for '{}': expected an object, found {}.",
                                      param, ShownValue(value))));
    return false;
  }
  std::string name;
  message_fields.String("role", &name);
  message_fields.Refuse("tool_calls");
  message_fields.Refuse("function_call");
  if (!message_fields.ok()) {
    fields.Fail(*message_fields.error());
    return false;
  }
  const std::optional<Role> role = ParseRole(name);
  if (!role.has_value()) {
    fields.Fail(BadRequest(param, fmt::format("Invalid value for '{}.role': expected 'system', "
                                              "'user' or 'assistant', found {}.",
                                              param, ShownValue(name))));
    return false;
  }
  message.role = *role;
  return true;
}

// The prompt has room for one system message, so those at the beginning are joined. The engine puts
// each part on a line of its own; so two parts cannot make a control token together.
void AddMessage(Message message, Call& call) {
  const bool joins = message.role == Role::kSystem && call.request.messages.size() == 1 &&
                     call.request.messages[0].role == Role::kSystem;
  if (!joins) return call.request.messages.push_back(std::move(message));
  for (ContentPart& part : message.content)
    call.request.messages[0].content.push_back(std::move(part));
}

// Calls read(message_fields, message) for each of "messages", once its role is known.
template <typename Read>
void ReadMessages(RequestFields& fields, Call& call, const Read& read) {
  const json* messages = fields.Find("messages");
  if (messages == nullptr) {
    return fields.Fail(BadRequest("messages", "Missing required parameter: 'messages'."));
  }
  if (!messages->is_array()) return fields.Wrong("messages", "a list", *messages);
  for (size_t i = 0; i < messages->size() && fields.ok(); ++i) {
    const std::string param = fmt::format("messages[{}]", i);
    const json& value = (*messages)[i];
    RequestFields message_fields(value, param + ".");
    Message message;
    if (!BeginMessage(value, param, fields, message_fields, message)) return;
    if (message.role == Role::kSystem && i > 0 &&
        call.request.messages.back().role != Role::kSystem) {
      return fields.Fail(BadRequest(param + ".role",
                                    "Messages of the role 'system' must stand at the beginning."));
    }
    read(message_fields, message);
    if (!message_fields.ok()) return fields.Fail(*message_fields.error());
    AddMessage(std::move(message), call);
  }
  if (fields.ok() && call.request.messages.empty()) {
    fields.Fail(BadRequest("messages", "Invalid 'messages': expected at least one message."));
  }
}

}  // namespace

std::string NeutralizeControlTokens(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    result += text[i];
    if (text[i] == '<' && BeginsWithControlToken(text.substr(i))) result += ' ';
  }
  return result;
}

void ReadOpenAiMessages(const CallLimits& limits, RequestFields& fields, Call& call) {
  ReadMessages(fields, call, [&](RequestFields& message_fields, Message& message) {
    const json* content = message_fields.Find("content");
    const std::string name = message_fields.Name("content");
    if (content == nullptr) {
      if (message.role == Role::kAssistant) return;  // an empty answer
      return message_fields.Fail(
          BadRequest(name, fmt::format("Missing required parameter: '{}'.", name)));
    }
    if (content->is_string()) return AddText(content->get<std::string>(), message);
    if (!content->is_array() || content->empty()) {
      return message_fields.Wrong("content", "a string or a list of parts", *content);
    }
    for (size_t i = 0; i < content->size() && message_fields.ok(); ++i) {
      ReadPart((*content)[i], fmt::format("{}[{}]", name, i), limits, message_fields, message,
               call);
    }
  });
}

void ReadOllamaMessages(const CallLimits& limits, RequestFields& fields, Call& call) {
  ReadMessages(fields, call, [&](RequestFields& message_fields, Message& message) {
    ReadOllamaImages(limits, message_fields, message, call);
    std::string text;
    message_fields.String("content", &text);
    AddText(text, message);
  });
}

void ReadOllamaImages(const CallLimits& limits, RequestFields& fields, Message& message,
                      Call& call) {
  const json* images = fields.Find("images");
  if (images == nullptr) return;
  if (!images->is_array()) return fields.Wrong("images", "a list", *images);
  for (size_t i = 0; i < images->size() && fields.ok(); ++i) {
    const std::string param = fmt::format("{}[{}]", fields.Name("images"), i);
    const json& image = (*images)[i];
    if (!image.is_string()) {
      return fields.Fail(BadRequest(param, "Invalid image: expected base64."));
    }
    AddImage(image.get_ref<const std::string&>(), /*bare_base64=*/true, param, limits, fields,
             message, call);
  }
}

}  // namespace fastvlm
