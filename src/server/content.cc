#include "server/content.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base64.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxTokenName = 64;
constexpr size_t kMaxUrl = 4096;
constexpr size_t kMaxMediaType = 256;

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

bool EqualIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return b == (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a);
  });
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view lower) {
  return EqualIgnoringCase(text.substr(0, lower.size()), lower);
}

void AddText(const std::string& text, Message& message) {
  message.content.push_back({NeutralizeControlTokens(text), nullptr});
}

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

// "a%20b" as "a b"; a percent sign without two hexadecimal digits stays.
std::string DecodePercents(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      result += static_cast<char>(byte);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The bytes of a data URI (RFC 2397), from behind "data:"; what is wrong with it in `problem`.
std::vector<uint8_t> ReadDataUri(std::string_view text, std::string& problem) {
  const size_t comma = text.substr(0, kMaxMediaType).find(',');
  if (comma == std::string_view::npos) {
    problem = "Invalid image: expected a data URI like 'data:image/jpeg;base64,...'.";
    return {};
  }
  const std::string_view type = WithoutBlanks(text.substr(0, comma));
  const size_t last = type.rfind(';');
  const bool base64 = last != std::string_view::npos &&
                      EqualIgnoringCase(WithoutBlanks(type.substr(last + 1)), "base64");
  std::string plain;  // escaped characters are the exception
  text.remove_prefix(comma + 1);
  if (text.find('%') != std::string_view::npos) text = plain = DecodePercents(text);
  if (!base64) {
    if (text.empty()) problem = "Invalid image: its data URI is empty.";
    return {text.begin(), text.end()};
  }
  std::optional<std::vector<uint8_t>> file = DecodeBase64(text);
  if (!file.has_value() || file->empty()) problem = "Invalid image: its data is not base64.";
  return std::move(file).value_or(std::vector<uint8_t>());
}

// True if `text` begins like a URL: "file:".
bool HasScheme(std::string_view text) {
  const size_t colon = text.substr(0, 32).find(':');
  return colon != std::string_view::npos && colon > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(colon),
                     [](char c) { return IsNameCharacter(c) || c == '+' || c == '-' || c == '.'; });
}

// Fills in where the picture that `text` names is, or returns what is wrong with it.
std::optional<std::string> LocateImage(std::string_view text, const CallLimits& limits,
                                       CallImage& source) {
  text = WithoutBlanks(text);
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
    std::string problem;
    source.file = ReadDataUri(text.substr(5), problem);
    return problem.empty() ? std::nullopt : std::optional(std::move(problem));
  }
  constexpr const char* kExpected =
      "Invalid image URL: expected a data URI ('data:image/jpeg;base64,...').";
  // Of all base64 that begins with a slash, only JPEG's is a picture; the rest is a path.
  const bool is_path = text.starts_with('/') && !text.starts_with("/9j/");
  if (HasScheme(text) || is_path) return kExpected;
  std::optional<std::vector<uint8_t>> file = DecodeBase64(text);  // without the frame of a URI
  if (!file.has_value() || file->empty()) return kExpected;
  source.file = *std::move(file);
  return std::nullopt;
}

// Adds a picture to the message and to call.images. `text` is a data URI, an http(s) URL or base64
// alone; `param` says where the request has it.
void AddImage(const std::string& text, const std::string& param, const CallLimits& limits,
              RequestFields& fields, Message& message, Call& call) {
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
  if (const auto problem = LocateImage(text, limits, source)) {
    return fields.Fail(BadRequest(param, *problem));
  }
  message.content.push_back({"", source.decoded});
  call.images.push_back(std::move(source));
}

// The URL in field `name` of a part: a text, or an object that has it as `key`.
std::string ReadUrl(const char* name, const char* key, RequestFields& part) {
  const Json* image = part.Find(name);
  std::string url;
  if (image != nullptr && image->is_string()) return image->get<std::string>();
  if (image != nullptr && image->is_object()) {
    RequestFields image_fields(*image, part.Name(name) + ".");
    image_fields.String(key, &url);
    // There is one way to look at an image, and its bytes say what kind it is.
    image_fields.Ignore({"detail", "format", "type", "media_type"});
    image_fields.RefuseUnknown();
    part.Join(image_fields);
  }
  if (url.empty() && part.ok()) {
    const std::string param = fmt::format("{}.{}", part.Name(name), key);
    part.Fail(BadRequest(param, fmt::format("Missing required parameter: '{}'.", param)));
  }
  return url;
}

// A picture as Anthropic's messages have it: {"type": "base64", "data": ...} or {"type": "url",
// ...}.
std::string ReadSource(RequestFields& part) {
  const Json* source = part.Find("source");
  const bool is_url = source != nullptr && source->is_object() && source->contains("url");
  return ReadUrl("source", is_url ? "url" : "data", part);
}

std::string ReadText(const char* name, RequestFields& part) {
  std::string text;
  part.String(name, &text);
  if (part.ok() && part.Find(name) == nullptr) {
    part.Fail(BadRequest(part.Name(name),
                         fmt::format("Missing required parameter: '{}'.", part.Name(name))));
  }
  return text;
}

// What another model thought, which is not shown to this one.
bool IsThought(std::string_view type) {
  return type == "thinking" || type == "redacted_thinking" || type == "reasoning";
}

// A part of a content: OpenAI's of both its APIs, and Anthropic's.
void ReadPart(const Json& value, const std::string& param, const CallLimits& limits,
              RequestFields& fields, Message& message, Call& call) {
  if (!value.is_object()) {
    return fields.Fail(
        BadRequest(param, fmt::format("Invalid value for '{}': expected an object, found {}.",
                                      param, ShownValue(value))));
  }
  RequestFields part(value, param + ".");
  std::string type, text, picture;
  bool has_picture = true;
  part.String("type", &type);
  part.Ignore({"cache_control", "annotations", "citations", "logprobs", "detail", "id"});
  part.Refuse("file_id");  // no files are kept here
  if (IsThought(type)) return;
  if (type == "image_url" || type == "input_image") {
    picture = ReadUrl("image_url", "url", part);
  } else if (type == "image") {
    picture = ReadSource(part);
  } else if (type == "text" || type == "input_text" || type == "output_text") {
    has_picture = false;
    text = ReadText("text", part);
  } else if (type == "refusal") {
    has_picture = false;
    text = ReadText("refusal", part);
  } else if (part.ok()) {
    part.Fail(BadRequest(param, fmt::format("Invalid value for '{}.type': expected 'text' or "
                                            "'image_url', found {}.",
                                            param, ShownValue(type))));
  }
  part.RefuseUnknown();
  if (part.ok() && !has_picture) AddText(text, message);
  if (part.ok() && has_picture) AddImage(picture, param, limits, part, message, call);
  fields.Join(part);
}

void ReadContent(const char* name, const CallLimits& limits, RequestFields& fields,
                 Message& message, Call& call) {
  const Json* content = fields.Find(name);
  if (content == nullptr) return;  // an empty message
  if (content->is_string()) return AddText(content->get<std::string>(), message);
  if (!content->is_array()) return fields.Wrong(name, "a string or a list of parts", *content);
  for (size_t i = 0; i < content->size() && fields.ok(); ++i) {
    ReadPart((*content)[i], fmt::format("{}[{}]", fields.Name(name), i), limits, fields, message,
             call);
  }
}

// The role; false after an error.
bool BeginMessage(const Json& value, const std::string& param, RequestFields& fields,
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
  message_fields.Refuse("audio");
  message_fields.Refuse("type", "message");  // an item of OpenAI's responses
  // What our own answers and those of others carry, and what a model of this kind has no use for.
  message_fields.Ignore({"name", "refusal", "annotations", "reasoning", "reasoning_content",
                         "reasoning_details", "thinking", "id", "status", "phase"});
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

bool IsBlank(const Message& message) {
  return std::all_of(message.content.begin(), message.content.end(), [](const ContentPart& part) {
    return part.image == nullptr && WithoutBlanks(part.text).empty();
  });
}

// The prompt has room for one system message, which stands at its beginning: all are joined there.
// The engine puts each part on a line of its own; so two parts cannot make a control token
// together.
void AddMessage(Message message, Call& call) {
  std::vector<Message>& messages = call.request.messages;
  if (message.role != Role::kSystem) return messages.push_back(std::move(message));
  if (IsBlank(message)) return;
  if (messages.empty() || messages[0].role != Role::kSystem) {
    messages.insert(messages.begin(), std::move(message));
    return;
  }
  for (ContentPart& part : message.content) messages[0].content.push_back(std::move(part));
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

void ReadMessages(const CallLimits& limits, RequestFields& fields, Call& call) {
  const Json* messages = fields.Find("messages");
  if (messages == nullptr) {
    return fields.Fail(BadRequest("messages", "Missing required parameter: 'messages'."));
  }
  if (!messages->is_array()) return fields.Wrong("messages", "a list", *messages);
  for (size_t i = 0; i < messages->size() && fields.ok(); ++i) {
    ReadMessage((*messages)[i], fmt::format("messages[{}]", i), limits, fields, call);
  }
  if (fields.ok() && call.request.messages.empty()) {
    fields.Fail(BadRequest("messages", "Invalid 'messages': expected at least one message."));
  }
}

void ReadMessage(const Json& value, const std::string& param, const CallLimits& limits,
                 RequestFields& fields, Call& call) {
  RequestFields message_fields(value, param + ".");
  Message message;
  if (!BeginMessage(value, param, fields, message_fields, message)) return;
  ReadImageList(limits, message_fields, message, call);
  ReadContent("content", limits, message_fields, message, call);
  message_fields.RefuseUnknown();
  if (!message_fields.ok()) return fields.Fail(*message_fields.error());
  if (message.content.empty()) AddText("", message);
  AddMessage(std::move(message), call);
}

void ReadSystem(const char* name, const CallLimits& limits, RequestFields& fields, Call& call) {
  Message message;
  message.role = Role::kSystem;
  ReadContent(name, limits, fields, message, call);
  if (fields.ok()) AddMessage(std::move(message), call);
}

void ReadImageList(const CallLimits& limits, RequestFields& fields, Message& message, Call& call) {
  const Json* images = fields.Find("images");
  if (images == nullptr) return;
  if (!images->is_array()) return fields.Wrong("images", "a list", *images);
  for (size_t i = 0; i < images->size() && fields.ok(); ++i) {
    const std::string param = fmt::format("{}[{}]", fields.Name("images"), i);
    const Json& image = (*images)[i];
    if (!image.is_string()) {
      return fields.Fail(BadRequest(param, "Invalid image: expected base64."));
    }
    AddImage(image.get_ref<const std::string&>(), param, limits, fields, message, call);
  }
}

}  // namespace fastvlm
