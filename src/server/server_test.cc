// A server on the bundled model, used as its clients use it.
#include "server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The "data:" of a stream of events.
std::vector<std::string> Events(const std::string& stream) {
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    EXPECT_NE(end, std::string::npos) << stream.substr(at);
    if (end == std::string::npos) break;
    EXPECT_EQ(stream.compare(at, 6, "data: "), 0) << stream.substr(at);
    events.push_back(stream.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  return events;
}

TEST(Server, AnswersAsASessionDoes) {
  Running server;
  const Answer expected = SessionAnswer("Describe the image.", "demo.png");
  const json body = server.Chat(Question("Describe the image.", SampleUri()));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "nano");
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][0]["message"]["content"], expected.text);
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["prompt_tokens"], expected.prompt_tokens);
  EXPECT_EQ(body["usage"]["completion_tokens"], expected.token_ids.size());
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["image_tokens"], expected.image_tokens);
  EXPECT_GT(expected.image_tokens, 0);
  EXPECT_GT(body["timings"]["ttft_ms"], 0);
  server.Stop();
  EXPECT_THAT(server.log(), HasSubstr("POST /v1/chat/completions 200 " +
                                      std::to_string(expected.prompt_tokens) + "+"));
}

TEST(Server, StreamsTheSameAnswer) {
  Running server;
  const std::string text = SessionAnswer("Describe the image.", "demo.png").text;
  json request = Question("Describe the image.", SampleUri());
  request["stream"] = true;
  request["stream_options"] = {{"include_usage", true}};
  const httplib::Result result = server.Post("/v1/chat/completions", request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
  const std::vector<std::string> events = Events(result->body);
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string streamed;
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    const json chunk = json::parse(events[i]);
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_TRUE(chunk["usage"].is_null());
    const json& choice = chunk["choices"][0];
    EXPECT_EQ(choice["finish_reason"], i + 3 < events.size() ? json(nullptr) : json("stop"));
    if (i == 0) {
      EXPECT_EQ(choice["delta"]["role"], "assistant");
    }
    streamed += choice["delta"].value("content", "");
  }
  EXPECT_EQ(streamed, text);
  const json usage = json::parse(events[events.size() - 2]);
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_GT(usage["usage"]["completion_tokens"], 0);
}

TEST(Server, LogprobsComeWithTheirAlternatives) {
  Running server;
  json request = Question("What is this?", SampleUri());
  request["logprobs"] = true;
  request["top_logprobs"] = 2;
  request["max_tokens"] = 3;
  const json choice = server.Chat(request)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "length");
  ASSERT_EQ(choice["logprobs"]["content"].size(), 3u);
  for (const json& token : choice["logprobs"]["content"]) {
    EXPECT_LE(token["logprob"], 0);
    ASSERT_EQ(token["top_logprobs"].size(), 2u);
    EXPECT_EQ(token["top_logprobs"][0]["token"], token["token"]);  // the likeliest was taken
    EXPECT_GE(token["top_logprobs"][0]["logprob"], token["top_logprobs"][1]["logprob"]);
  }
}

TEST(Server, CompletionsGoOnWithAText) {
  Running server;
  const httplib::Result result =
      server.Post("/v1/completions", {{"prompt", "This is"}, {"max_tokens", 4}, {"logprobs", 1}});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->status, 200) << result->body;
  const json body = json::parse(result->body);
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_TRUE(body["choices"][0]["text"].is_string());
  EXPECT_EQ(body["choices"][0]["logprobs"]["tokens"].size(), body["usage"]["completion_tokens"]);
}

TEST(Server, AControlTokenInATextIsOrdinaryText) {
  Running server;
  const auto tokens = [&server](const std::string& text) {
    return server.Chat(Question(text))["usage"]["prompt_tokens"].get<int>();
  };
  const int base = tokens("a");
  EXPECT_GT(tokens("a<|im_end|>"), base + 1);  // as a control token it would be one
  server.Chat(Question("<image>"));            // would be an error: there is no picture
}

TEST(Server, AnImageAskedTwiceIsEncodedOnce) {
  Running server;
  server.Chat(Question("What is this?", SampleUri()));
  const json second = server.Chat(Question("Describe the image.", SampleUri()));
  EXPECT_GT(second["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(server.engine().stats().images_encoded, 1);
  // A request is counted once its answer is written, so the client may be faster.
  std::string metrics;
  EXPECT_TRUE(Eventually([&] {
    metrics = server.Client().Get("/metrics")->body;
    return metrics.find("route=\"/v1/chat/completions\",status=\"200\"} 2\n") != metrics.npos;
  })) << metrics;
  EXPECT_THAT(metrics, HasSubstr("fastvlm_images_encoded_total 1\n"));
  EXPECT_THAT(metrics, HasSubstr("fastvlm_time_to_first_token_seconds_count 2\n"));
}

TEST(Server, SmallRoutesAnswer) {
  Running server;
  httplib::Client client = server.Client();
  EXPECT_EQ(client.Get("/health")->body, R"({"status":"ok"})");
  EXPECT_EQ(json::parse(client.Get("/v1/models")->body)["data"][0]["id"], "nano");
  EXPECT_EQ(json::parse(client.Get("/v1/models/nano")->body)["id"], "nano");
  EXPECT_EQ(client.Get("/v1/models/other")->status, 404);
  EXPECT_EQ(json::parse(client.Get("/api/tags")->body)["models"][0]["name"], "nano");
  EXPECT_EQ(json::parse(client.Get("/api/ps")->body)["models"][0]["name"], "nano");
  EXPECT_TRUE(json::parse(client.Get("/api/version")->body)["version"].is_string());
  EXPECT_EQ(client.Head("/health")->status, 200);
}

TEST(Server, ThePageComesWithItsPolicyAndIsSentOnce) {
  ServerOptions options;
  options.api_keys = {"secret"};  // the page asks for it
  Running server(options);
  httplib::Client client = server.Client();
  const httplib::Result page = client.Get("/");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_THAT(page->get_header_value("Content-Type"), StartsWith("text/html"));
  EXPECT_THAT(page->get_header_value("Content-Security-Policy"), HasSubstr("default-src 'self'"));
  EXPECT_THAT(page->body, StartsWith("<!"));
  const std::string etag = page->get_header_value("ETag");
  EXPECT_EQ(client.Get("/", {{"If-None-Match", etag}})->status, 304);
  EXPECT_EQ(client.Post("/", "{}", "application/json")->status, 405);
  EXPECT_EQ(client.Get("/style.css")->status, 200);
}

TEST(Server, OllamasApiAnswers) {
  Running server;
  const std::string expected = SessionAnswer("What is this?", "demo.png").text;
  json request = {{"model", "nano"},
                  {"messages",
                   {{{"role", "user"},
                     {"content", "What is this?"},
                     {"images", {Base64(SampleBytes("demo.png"))}}}}}};
  const httplib::Result stream = server.Post("/api/chat", request);
  ASSERT_TRUE(stream);
  ASSERT_EQ(stream->status, 200) << stream->body;
  std::istringstream lines(stream->body);
  std::string text;
  json last;
  for (std::string line; std::getline(lines, line);) {
    last = json::parse(line);
    text += last["message"]["content"].get<std::string>();
  }
  EXPECT_EQ(text, expected);
  EXPECT_EQ(last["done"], true);
  EXPECT_GT(last["eval_count"], 0);
  request["stream"] = false;
  EXPECT_EQ(json::parse(server.Post("/api/chat", request)->body)["message"]["content"], expected);
  const json generate = {{"prompt", "What is this?"},
                         {"images", {Base64(SampleBytes("demo.png"))}},
                         {"stream", false}};
  EXPECT_EQ(json::parse(server.Post("/api/generate", generate)->body)["response"], expected);
  EXPECT_EQ(json::parse(server.Post("/api/generate", json::object())->body)["done_reason"], "load");
}

TEST(Server, KeysAreAskedFor) {
  ServerOptions options;
  options.api_keys = {"secret", "other"};
  Running server(options);
  httplib::Client client = server.Client();
  EXPECT_EQ(client.Get("/health")->status, 200);
  EXPECT_EQ(client.Get("/metrics")->status, 401);
  const httplib::Result none = client.Get("/v1/models");
  EXPECT_EQ(none->status, 401);
  EXPECT_EQ(json::parse(none->body)["error"]["code"], "invalid_api_key");
  EXPECT_EQ(none->get_header_value("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer wrong"}})->status, 401);
  EXPECT_EQ(client.Get("/v1/models", {{"Authorization", "Bearer other"}})->status, 200);
  EXPECT_EQ(client.Post("/api/chat", "{}", "application/json")->status, 401);
}

TEST(Server, PagesOfOthersStayOut) {
  Running closed;
  EXPECT_EQ(closed.Client().Get("/v1/models", {{"Origin", "https://evil.example"}})->status, 403);
  EXPECT_EQ(closed.Client().Get("/v1/models", {{"Host", "evil.example"}})->status, 403);
  const httplib::Result preflight =
      closed.Client().Options("/v1/chat/completions", {{"Origin", "https://evil.example"}});
  EXPECT_FALSE(preflight->has_header("Access-Control-Allow-Origin"));
  ServerOptions options;
  options.cors_origins = {"https://app.example"};
  Running open(options);
  const httplib::Headers origin = {{"Origin", "https://app.example"}};
  const httplib::Result allowed = open.Client().Options("/v1/chat/completions", origin);
  EXPECT_EQ(allowed->status, 204);
  EXPECT_EQ(allowed->get_header_value("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_THAT(allowed->get_header_value("Access-Control-Allow-Headers"), HasSubstr("Content-Type"));
  EXPECT_EQ(
      open.Client().Get("/v1/models", origin)->get_header_value("Access-Control-Allow-Origin"),
      "https://app.example");
}

TEST(Server, ConcurrentAnswersAreNotMixedUp) {
  Running server;
  const std::vector<std::string> questions = {"What is this?", "Describe the image.",
                                              "What color is it?", "How many objects are there?"};
  std::vector<std::string> expected;
  for (const std::string& question : questions) {
    expected.push_back(SessionAnswer(question, "demo.png").text);
  }
  std::vector<std::thread> clients;
  for (size_t i = 0; i < 12; ++i) {
    clients.emplace_back([&, i] {
      for (size_t k = 0; k < 3; ++k) {
        const size_t q = (i + k) % questions.size();
        const json body = server.Chat(Question(questions[q], SampleUri()));
        EXPECT_EQ(body["choices"][0]["message"]["content"], expected[q]);
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST(Server, KeepsConnectionsOpen) {
  Running server;
  httplib::Client client = server.Client();
  client.set_keep_alive(true);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(client.Get("/health")->status, 200);
  RawClient pipelined(server.port());
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  pipelined.Send(get + get +
                 "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string answers = pipelined.Read();
  size_t count = 0;
  for (size_t at = answers.find("HTTP/1.1 200"); at != std::string::npos;
       at = answers.find("HTTP/1.1 200", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 3u);
}

TEST(Server, APortInUseIsAnError) {
  Running server;
  ServerOptions options;
  options.port = server.port();
  const auto second = Server::Create(server.engine(), options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr("--port"));
}

}  // namespace
}  // namespace fastvlm
