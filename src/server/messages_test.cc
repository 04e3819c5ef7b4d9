// Anthropic's messages: what requests are taken for, and the answers of a server on the bundled
// model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/messages_request.h"
#include "server/request_fields.h"
#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr CallLimits kMessagesLimits{.max_tokens = 100, .max_images = 2};

Json Asked(const Json& more = Json::object()) {
  Json request = Json::parse(
      R"({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]})");
  request.update(more);
  return request;
}

Call ParsedMessages(const Json& request) {
  Call call;
  const auto error = ParseAnthropicMessages(request.dump(), kMessagesLimits, &call);
  EXPECT_FALSE(error.has_value()) << error->message;
  return call;
}

std::string RefusedMessages(const Json& request) {
  Call call;
  const auto error = ParseAnthropicMessages(request.dump(), kMessagesLimits, &call);
  EXPECT_TRUE(error.has_value()) << request.dump();
  return error.value_or(ApiError()).param;
}

TEST(MessagesRequest, FieldsArrive) {
  const Call call = ParsedMessages(Json::parse(R"({
    "model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "top_k": 3, "stream": true,
    "stop_sequences": ["a", "b"], "metadata": {"user_id": "u"}, "thinking": {"type": "disabled"},
    "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"b": 1, "a": 2}}},
    "messages": [
      {"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "text", "text": "What is this?", "citations": null}]},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "A fox, I guess.", "signature": "s"},
        {"type": "text", "text": "A fox."}]},
      {"role": "user", "content": "Why?"}]})"));
  const std::vector<Message>& messages = call.request.messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].role, Role::kSystem);
  EXPECT_EQ(messages[0].content[0].text, "Be short.");
  ASSERT_EQ(call.images.size(), 1u);
  EXPECT_EQ(messages[1].content[0].image, call.images[0].decoded);
  ASSERT_EQ(messages[2].content.size(), 1u);
  EXPECT_EQ(messages[2].content[0].text, "A fox.");
  EXPECT_EQ(call.request.generate.max_tokens, 7);
  EXPECT_EQ(call.request.generate.sampling.top_k, 3);
  EXPECT_THAT(call.request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(call.request.generate.json_schema, R"({"b":1,"a":2})");
  EXPECT_TRUE(call.stream);
  EXPECT_EQ(ParsedMessages(Asked({{"system", "Be short."}})).request.messages.size(), 2u);
  EXPECT_EQ(ParsedMessages(Asked({{"system", ""}})).request.messages.size(), 1u);
}

TEST(MessagesRequest, WrongOnesAreRefusedByName) {
  EXPECT_EQ(RefusedMessages(Json::parse(R"({"messages": [{"role": "user", "content": "Hi"}]})")),
            "max_tokens");
  EXPECT_EQ(RefusedMessages(Json::parse(R"({"max_tokens": 1})")), "messages");
  EXPECT_EQ(RefusedMessages(Asked({{"max_tokens", 0}})), "max_tokens");
  EXPECT_EQ(RefusedMessages(Asked({{"stop_sequences", 1}})), "stop_sequences");
  EXPECT_EQ(RefusedMessages(Asked({{"frobnicate", 1}})), "frobnicate");
  EXPECT_EQ(RefusedMessages(Asked(Json::parse(R"({"system": [{"type": "text", "txt": "a"}]})"))),
            "system[0].text");
  EXPECT_EQ(RefusedMessages(Asked(Json::parse(R"({"output_config": {"format": {"type": "x"}}})"))),
            "output_config.format.type");
  EXPECT_EQ(RefusedMessages(Asked(Json::parse(R"({"messages": [{"role": "user", "content": [
                {"type": "image", "source": {"type": "file", "file_id": "f"}}]}]})"))),
            "messages[0].content[0].source.file_id");
  EXPECT_EQ(RefusedMessages(Asked(Json::parse(R"({"messages": [
                {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I"}]})"))),
            "messages");
  EXPECT_EQ(RefusedMessages(Asked(Json::parse(R"({"tools": [{"name": "f", "input_schema": {}}],
                "tool_choice": {"type": "any"}})"))),
            "tool_choice");
}

TEST(MessagesRequest, ToolsAreNeverCalled) {
  const Call call = ParsedMessages(Asked(Json::parse(
      R"({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "auto"}})")));
  EXPECT_THAT(call.notes, ElementsAre(HasSubstr("never called")));
}

Json PictureMessages(const std::string& question, const Json& more = Json::object()) {
  const std::string data = Base64(SampleBytes("demo.png"));
  Json request = {
      {"model", "nano"},
      {"max_tokens", kMaxTokens},
      {"messages",
       Json::array(
           {{{"role", "user"},
             {"content",
              Json::array(
                  {{{"type", "image"},
                    {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", data}}}},
                   {{"type", "text"}, {"text", question}}})}}})}};
  request.update(more);
  return request;
}

Json PostedTo(const Running& server, const std::string& path, const Json& request,
              int status = 200) {
  const auto result = server.Client().Post(path, request.dump(), "application/json");
  EXPECT_TRUE(result);
  if (!result) return {};
  EXPECT_EQ(result->status, status) << result->body;
  return Json::parse(result->body);
}

TEST(Messages, AnswerAsASessionDoes) {
  Running server;
  const Answer expected = SessionAnswer("Describe the image.", "demo.png");
  const Json body = PostedTo(server, "/v1/messages", PictureMessages("Describe the image."));
  EXPECT_EQ(body["content"][0]["text"].get<std::string>(), expected.text);
  EXPECT_EQ(body["stop_reason"].get<std::string>(), "end_turn");
  EXPECT_TRUE(body["stop_sequence"].is_null());
  EXPECT_EQ(body["usage"]["input_tokens"].get<int64_t>(), expected.prompt_tokens);
  const Json again = PostedTo(server, "/v1/messages", PictureMessages("Describe the image."));
  const int64_t cached = again["usage"]["cache_read_input_tokens"].get<int64_t>();
  EXPECT_GT(cached, 0);
  EXPECT_EQ(again["usage"]["input_tokens"].get<int64_t>() + cached, expected.prompt_tokens);
  const Json count =
      PostedTo(server, "/v1/messages/count_tokens", PictureMessages("Describe the image."));
  EXPECT_EQ(count["input_tokens"].get<int64_t>(), expected.prompt_tokens);
}

TEST(Messages, SayWhyTheyEnd) {
  Running server;
  const std::string text = SessionAnswer("Describe the image.", "demo.png").text;
  const std::string word = text.substr(text.find(' '), 3);
  const Json stopped = PostedTo(
      server, "/v1/messages",
      PictureMessages("Describe the image.", {{"stop_sequences", Json::array({"%%", word})}}));
  EXPECT_EQ(stopped["stop_reason"].get<std::string>(), "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"].get<std::string>(), word);
  EXPECT_EQ(stopped["content"][0]["text"].get<std::string>(), text.substr(0, text.find(word)));
  const Json cut =
      PostedTo(server, "/v1/messages", PictureMessages("Describe the image.", {{"max_tokens", 2}}));
  EXPECT_EQ(cut["stop_reason"].get<std::string>(), "max_tokens");
}

TEST(Messages, StreamTheirEventsInOrder) {
  Running server;
  const Json whole =
      PostedTo(server, "/v1/messages",
               PictureMessages("Describe the image.", {{"stop_sequences", {" on"}}}));
  const Json request =
      PictureMessages("Describe the image.", {{"stop_sequences", {" on"}}, {"stream", true}});
  const auto result = server.Client().Post("/v1/messages", request.dump(), "application/json");
  ASSERT_TRUE(result);
  std::vector<std::string> types;
  std::string streamed;
  Json delta;
  const std::string& body = result->body;
  for (size_t at = 0; at < body.size();) {
    const size_t data = body.find("\ndata: ", at), end = body.find("\n\n", at);
    ASSERT_NE(end, std::string::npos);
    const Json event = Json::parse(body.substr(data + 7, end - data - 7));
    EXPECT_EQ(body.substr(at, data - at), "event: " + event["type"].get<std::string>());
    types.push_back(event["type"].get<std::string>());
    if (types.back() == "content_block_delta")
      streamed += event["delta"]["text"].get<std::string>();
    if (types.back() == "message_delta") delta = event;
    at = end + 2;
  }
  std::erase(types, "content_block_delta");
  EXPECT_THAT(types, ElementsAre("message_start", "content_block_start", "ping",
                                 "content_block_stop", "message_delta", "message_stop"));
  EXPECT_EQ(streamed, whole["content"][0]["text"].get<std::string>());
  EXPECT_EQ(delta["delta"]["stop_reason"].get<std::string>(), "stop_sequence");
  EXPECT_EQ(delta["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

TEST(Messages, ErrorsHaveAnthropicsShape) {
  ServerOptions options;
  options.api_keys = {"right"};
  Running server(options);
  const auto status = [&](const httplib::Headers& headers, const std::string& body) {
    const auto result = server.Client().Post("/v1/messages", headers, body, "application/json");
    EXPECT_TRUE(result);
    if (!result) return std::string();
    const Json error = Json::parse(result->body);
    EXPECT_EQ(error["type"].get<std::string>(), "error");
    return std::to_string(result->status) + " " + error["error"]["type"].get<std::string>();
  };
  EXPECT_EQ(status({}, "{}"), "401 authentication_error");
  EXPECT_EQ(status({{"X-Api-Key", "wrong"}}, "{}"), "401 authentication_error");
  EXPECT_EQ(status({{"X-Api-Key", "right"}}, "{}"), "400 invalid_request_error");
  EXPECT_EQ(status({{"Authorization", "Bearer right"}}, "{}"), "400 invalid_request_error");
  const auto missing = server.Client().Get("/v1/messages/batches", {{"X-Api-Key", "right"}});
  ASSERT_TRUE(missing);
  EXPECT_THAT(missing->body, StartsWith(R"({"type":"error","error":{"type":"not_found_error")"));
}

}  // namespace
}  // namespace fastvlm
