// OpenAI's responses: what requests are taken for, and the answers of a server on the bundled
// model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/responses_request.h"
#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr CallLimits kResponseLimits{.max_tokens = 100, .max_images = 2};

Call ParsedResponse(const Json& request, ResponsesEcho* echo = nullptr) {
  Call call;
  ResponsesEcho ignored;
  const auto error =
      ParseResponses(request.dump(), kResponseLimits, &call, echo == nullptr ? &ignored : echo);
  EXPECT_FALSE(error.has_value()) << error->message;
  return call;
}

ApiError RefusedResponse(const Json& request) {
  Call call;
  ResponsesEcho echo;
  const auto error = ParseResponses(request.dump(), kResponseLimits, &call, &echo);
  EXPECT_TRUE(error.has_value()) << request.dump();
  return error.value_or(ApiError());
}

TEST(ResponsesRequest, AnInputIsATextOrAListOfItems) {
  const Call text = ParsedResponse({{"input", "Hi"}});
  ASSERT_EQ(text.request.messages.size(), 1u);
  EXPECT_EQ(text.request.messages[0].content[0].text, "Hi");
  EXPECT_EQ(text.request.generate.max_tokens, 100);
  const Call list = ParsedResponse(Json::parse(R"({
    "instructions": "Be short.", "max_output_tokens": 7, "temperature": 0.5, "top_p": 0.9,
    "input": [
      {"role": "developer", "content": "Be kind."},
      {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]},
      {"type": "reasoning", "id": "rs_1", "summary": []},
      {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
        {"type": "output_text", "text": "A fox.", "annotations": [], "logprobs": []}]},
      {"role": "user", "content": "Why?"}]})"));
  const std::vector<Message>& messages = list.request.messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].role, Role::kSystem);
  EXPECT_EQ(messages[0].content[0].text, "Be short.");
  EXPECT_EQ(messages[0].content[1].text, "Be kind.");
  EXPECT_EQ(messages[2].content[0].text, "A fox.");
  ASSERT_EQ(list.images.size(), 1u);
  EXPECT_EQ(messages[1].content[1].image, list.images[0].decoded);
  EXPECT_EQ(list.request.generate.max_tokens, 7);
  EXPECT_FLOAT_EQ(list.request.generate.sampling.top_p, 0.9f);
}

TEST(ResponsesRequest, AFormatIsASchemaWithItsKeysInOrder) {
  ResponsesEcho echo;
  const Call call = ParsedResponse(
      Json::parse(R"({"input": "Hi", "text": {"verbosity": "low", "format": {"type": "json_schema",
        "name": "n", "strict": true, "schema": {"type": "object", "properties": {"b": {}, "a": {}}}}}})"),
      &echo);
  EXPECT_EQ(call.request.generate.json_schema, R"({"type":"object","properties":{"b":{},"a":{}}})");
  EXPECT_EQ(echo.format["name"].get<std::string>(), "n");
  EXPECT_NE(
      ParsedResponse(Json::parse(R"({"input": "Hi", "text": {"format": {"type": "json_object"}}})"))
          .request.generate.json_schema,
      "");
  EXPECT_EQ(RefusedResponse(
                Json::parse(R"({"input": "Hi", "text": {"format": {"type": "json_schema"}}})"))
                .param,
            "text.format.schema");
  EXPECT_EQ(RefusedResponse(
                Json::parse(R"({"input": "Hi", "text": {"format": {"type": "text", "x": 1}}})"))
                .param,
            "text.format.x");
}

TEST(ResponsesRequest, LogprobsAreIncluded) {
  EXPECT_EQ(ParsedResponse({{"input", "Hi"}}).request.top_logprobs, -1);
  EXPECT_EQ(
      ParsedResponse(Json::parse(R"({"input": "Hi", "include": ["message.output_text.logprobs"]})"))
          .request.top_logprobs,
      0);
  EXPECT_EQ(ParsedResponse({{"input", "Hi"}, {"top_logprobs", 3}}).request.top_logprobs, 3);
  EXPECT_EQ(RefusedResponse(Json::parse(R"({"input": "Hi", "include": ["file_search"]})")).param,
            "include");
}

TEST(ResponsesRequest, WhatRefersToWhatIsStoredIsRefusedByName) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{{"previous_response_id", "resp_1"}}, "send the whole conversation as 'input'"},
      {{{"conversation", "conv_1"}}, "send the whole conversation as 'input'"},
      {{{"prompt", {{"id", "p"}}}}, "as 'instructions'"},
      {{{"background", true}}, "set 'stream' to true"}};
  for (const auto& [field, advice] : cases) {
    Json request = {{"input", "Hi"}};
    request.update(field);
    const ApiError error = RefusedResponse(request);
    EXPECT_EQ(error.param, field.begin().key());
    EXPECT_THAT(error.message, HasSubstr(advice));
  }
  EXPECT_EQ(
      RefusedResponse(Json::parse(R"({"input": [{"type": "item_reference", "id": "m"}]})")).param,
      "input[0]");
  EXPECT_EQ(RefusedResponse(Json::parse(R"({"input": [{"type": "function_call_output",
                                           "call_id": "c", "output": "x"}]})"))
                .param,
            "input[0].type");
  EXPECT_THAT(RefusedResponse(Json::parse(R"({"input": [{"role": "user", "content": [
                  {"type": "input_image", "file_id": "file_1"}]}]})"))
                  .param,
              HasSubstr("file_id"));
  ParsedResponse({{"input", "Hi"},
                  {"store", true},
                  {"background", false},
                  {"previous_response_id", nullptr},
                  {"truncation", "auto"}});
}

TEST(ResponsesRequest, ToolsAreNeverCalled) {
  const Json tool = {{"type", "function"}, {"name", "f"}, {"parameters", Json::object()}};
  const Call call =
      ParsedResponse({{"input", "Hi"}, {"tools", Json::array({tool})}, {"tool_choice", "auto"}});
  EXPECT_THAT(call.notes, ElementsAre(HasSubstr("never called")));
  EXPECT_EQ(RefusedResponse(
                {{"input", "Hi"}, {"tools", Json::array({tool})}, {"tool_choice", "required"}})
                .param,
            "tool_choice");
}

TEST(ResponsesRequest, WrongOnesAreRefusedByName) {
  EXPECT_EQ(RefusedResponse(Json::object()).param, "input");
  EXPECT_EQ(RefusedResponse({{"input", Json::array()}}).param, "input");
  EXPECT_EQ(RefusedResponse({{"input", 7}}).param, "input");
  EXPECT_EQ(RefusedResponse({{"input", "Hi"}, {"max_output_tokens", 0}}).param,
            "max_output_tokens");
  EXPECT_EQ(RefusedResponse({{"input", "Hi"}, {"frobnicate", 1}}).param, "frobnicate");
  EXPECT_EQ(RefusedResponse(Json::parse(R"({"input": [{"role": "user", "content": "a", "b": 1}]})"))
                .param,
            "input[0].b");
}

Json PictureInput(const std::string& question) {
  return Json::array(
      {{{"role", "user"},
        {"content", Json::array({{{"type", "input_image"}, {"image_url", SampleUri()}},
                                 {{"type", "input_text"}, {"text", question}}})}}});
}

Json Posted(const Running& server, const Json& request) {
  const auto result = server.Client().Post("/v1/responses", request.dump(), "application/json");
  EXPECT_TRUE(result);
  if (!result) return {};
  EXPECT_EQ(result->status, 200) << result->body;
  return Json::parse(result->body);
}

TEST(Responses, AnswerAsASessionDoes) {
  Running server;
  const Answer expected = SessionAnswer("Describe the image.", "demo.png");
  const Json body = Posted(server, {{"input", PictureInput("Describe the image.")},
                                    {"metadata", {{"k", "v"}}},
                                    {"top_p", 0.9},
                                    {"max_output_tokens", kMaxTokens}});
  EXPECT_EQ(body["object"].get<std::string>(), "response");
  EXPECT_EQ(body["status"].get<std::string>(), "completed");
  EXPECT_EQ(body["output"][0]["content"][0]["text"].get<std::string>(), expected.text);
  EXPECT_EQ(body["usage"]["input_tokens"].get<int64_t>(), expected.prompt_tokens);
  EXPECT_EQ(body["usage"]["output_tokens"].get<size_t>(), expected.token_ids.size());
  EXPECT_EQ(body["metadata"]["k"].get<std::string>(), "v");
  EXPECT_EQ(body["top_p"].dump(), "0.9");
  const Json cut =
      Posted(server, {{"input", PictureInput("Describe the image.")}, {"max_output_tokens", 2}});
  EXPECT_EQ(cut["status"].get<std::string>(), "incomplete");
  EXPECT_EQ(cut["incomplete_details"]["reason"].get<std::string>(), "max_output_tokens");
  EXPECT_GT(cut["usage"]["input_tokens_details"]["cached_tokens"].get<int64_t>(), 0);
}

// The order that OpenAI documents; the texts of the parts are the text of the whole.
TEST(Responses, StreamTheirEventsInOrder) {
  Running server;
  Json request = {{"input", PictureInput("Describe the image.")},
                  {"stop", {" on"}},
                  {"top_logprobs", 1},
                  {"max_output_tokens", kMaxTokens}};
  const Json whole = Posted(server, request);
  request["stream"] = true;
  const auto result = server.Client().Post("/v1/responses", request.dump(), "application/json");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
  std::vector<std::string> types;
  std::string streamed;
  size_t tokens = 0, events = 0;
  Json last;
  const std::string& body = result->body;
  for (size_t at = 0; at < body.size();) {
    const size_t data = body.find("\ndata: ", at), end = body.find("\n\n", at);
    ASSERT_NE(end, std::string::npos);
    last = Json::parse(body.substr(data + 7, end - data - 7));
    EXPECT_EQ(body.substr(at, data - at), "event: " + last["type"].get<std::string>());
    EXPECT_EQ(last["sequence_number"].get<size_t>(), events++);
    types.push_back(last["type"].get<std::string>());
    if (last.contains("delta")) {
      streamed += last["delta"].get<std::string>();
      tokens += last["logprobs"].size();
    }
    at = end + 2;
  }
  std::erase(types, "response.output_text.delta");
  EXPECT_THAT(types, ElementsAre("response.created", "response.in_progress",
                                 "response.output_item.added", "response.content_part.added",
                                 "response.output_text.done", "response.content_part.done",
                                 "response.output_item.done", "response.completed"));
  const Json& output = last["response"]["output"];
  EXPECT_EQ(output[0]["content"][0]["text"].get<std::string>(), streamed);
  EXPECT_EQ(output[0]["content"], whole["output"][0]["content"]);
  EXPECT_EQ(output[0]["content"][0]["logprobs"].size(), tokens);
  EXPECT_GT(tokens, 0u);
}

}  // namespace
}  // namespace fastvlm
