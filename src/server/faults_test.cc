// A server and clients that ask too much, break the rules, or go away.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The status of the answer to a question, -1 if there is none.
std::future<int> PostInBackground(const Running& server, const json& question) {
  return std::async(std::launch::async, [&server, question] {
    const httplib::Result result = server.Post("/v1/chat/completions", question);
    return result ? result->status : -1;
  });
}

TEST(Server, WrongRequestsGetTheirStatus) {
  ServerOptions options;
  options.max_body_bytes = 100'000;
  Running server(options);
  httplib::Client client = server.Client();
  const char* path = "/v1/chat/completions";
  const auto status = [](const httplib::Result& result) { return result ? result->status : -1; };
  EXPECT_EQ(status(client.Post(path, "{", "application/json")), 400);
  EXPECT_EQ(status(client.Post(path, "{}", "text/plain")), 415);
  EXPECT_EQ(status(client.Post(path, {{"Content-Encoding", "gzip"}}, "{}", "application/json")),
            415);
  EXPECT_EQ(status(client.Post(path, std::string(100'001, ' '), "application/json")), 413);
  const httplib::Result method = client.Get(path);
  EXPECT_EQ(status(method), 405);
  EXPECT_EQ(method->get_header_value("Allow"), "POST");
  EXPECT_EQ(status(client.Get("/../../etc/passwd")), 404);
  EXPECT_EQ(status(client.Get("/%2e%2e/etc/passwd")), 404);
  EXPECT_EQ(status(client.Get("/nothing")), 404);
  EXPECT_EQ(status(client.Post("/nothing", "{}", "application/json")), 404);
  const httplib::Result image = server.Post(path, Question("x", "data:image/png;base64,AAAAAAAA"));
  EXPECT_EQ(status(image), 400);
  EXPECT_EQ(json::parse(image->body)["error"]["code"], "invalid_image");
  json wide = Question("x", SampleUri());
  wide["resolution"] = 100;
  EXPECT_EQ(status(server.Post(path, wide)), 400);
  const httplib::Result long_prompt = server.Post(path, Question(std::string(20'000, 'x')));
  EXPECT_EQ(status(long_prompt), 400);
  const httplib::Result ollama = client.Post("/api/chat", "{", "application/json");
  EXPECT_EQ(status(ollama), 400);
  EXPECT_TRUE(json::parse(ollama->body)["error"].is_string());
  server.Chat(Question("Hello"));  // and it still works
}

TEST(Server, ABodyThatIsTooLongIsNotRead) {
  ServerOptions options;
  options.max_body_bytes = 100'000;
  Running server(options);
  RawClient announced(server.port());
  announced.Send(PostHead("Content-Length: 1073741824\r\n\r\n{"));
  EXPECT_THAT(announced.Read(), StartsWith("HTTP/1.1 413"));
  RawClient waits(server.port());
  waits.Send(PostHead("Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_THAT(waits.Read(), StartsWith("HTTP/1.1 413"));
  RawClient chunked(server.port());
  chunked.Send(PostHead("Transfer-Encoding: chunked\r\n\r\n"));
  const std::string chunk = "4000\r\n" + std::string(0x4000, ' ') + "\r\n";
  for (int i = 0; i < 8; ++i) chunked.Send(chunk);
  EXPECT_THAT(chunked.Read(), StartsWith("HTTP/1.1 413"));
  RawClient none(server.port());
  none.Send(PostHead("\r\n"));
  EXPECT_THAT(none.Read(), StartsWith("HTTP/1.1 411"));
  RawClient huge(server.port());
  huge.Send(PostHead("Content-Length: 9999999999999999999\r\n\r\n"));
  EXPECT_THAT(huge.Read(), StartsWith("HTTP/1.1 413"));
  server.Chat(Question("Hello"));
}

TEST(Server, GarbageIsRefused) {
  ServerOptions options;
  options.send_timeout_ms = 300;  // for what looks like the beginning of a request
  Running server(options);
  for (const std::string& text :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 13),
        "GET /" + std::string(10'000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n"}) {
    RawClient client(server.port());
    client.Send(text);
    EXPECT_THAT(client.Read(), AnyOf(StartsWith("HTTP/1.1 4"), "")) << text.substr(0, 40);
  }
  EXPECT_EQ(server.Client().Get("/health")->status, 200);
}

// The words behind a request that is refused are nobody's request.
TEST(Server, AmbiguousRequestsAreRefusedAndTheirConnectionClosed) {
  Running server;
  const std::string smuggled = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::vector<std::pair<std::string, std::string>> requests = {
      {"400", PostHead("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")},
      {"400", PostHead("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
      {"501", PostHead("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
      {"400", PostHead("Host: other\r\nContent-Length: 2\r\n\r\n{}")},
      {"400", PostHead("X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}")},
      {"400", PostHead("X : a\r\nContent-Length: 2\r\n\r\n{}")},
      {"400", PostHead("Transfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n0\r\n\r\n")},
  };
  for (const auto& [status, request] : requests) {
    RawClient client(server.port());
    client.Send(request + smuggled);
    const std::string answer = client.Read();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + status)) << request;
    EXPECT_THAT(answer, HasSubstr("\"message\":")) << request;
    EXPECT_THAT(answer, HasSubstr("Connection: close")) << request;
    EXPECT_THAT(answer, Not(AnyOf(HasSubstr("HTTP/1.1 200"), HasSubstr("...open")))) << request;
  }
  const std::string text = Question("Hello").dump();
  RawClient legal(server.port());
  legal.Send(
      PostHead("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n") +
      fmt::format("{:x};name=\"a value\"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", text.size(), text));
  EXPECT_THAT(legal.Read(), StartsWith("HTTP/1.1 200"));
}

// Keys are limited one by one.
TEST(Server, AKeyAtItsLimitIs429) {
  ServerOptions options;
  options.api_keys = {"first", "second"};
  options.limit_per_key.requests = 1;
  Running server(options);
  const auto ask = [&](const char* key) {
    return server.Client().Post("/v1/chat/completions", {{"Authorization", key}},
                                Question("Hello").dump(), "application/json");
  };
  std::future<httplib::Result> waiting;
  EngineHold hold(server.engine());
  waiting = std::async(std::launch::async, [&] { return ask("Bearer first"); });
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
  const httplib::Result refused = ask("Bearer first");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->get_header_value("Retry-After"), "1");
  hold.Release();
  EXPECT_EQ(waiting.get()->status, 200);
  EXPECT_EQ(ask("Bearer second")->status, 200);
  EXPECT_EQ(ask("Bearer first")->status, 200);
}

TEST(Server, WhatNoWaitingHelpsAgainstIs400) {
  ServerOptions options;
  options.max_encoder_pixels = 512 * 512;
  Running server(options);
  json wide = Question("x", SampleUri());
  for (const json& resolution : {json(16384), json("1024x512"), json(544)}) {
    wide["resolution"] = resolution;
    const httplib::Result result = server.Post("/v1/chat/completions", wide);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, 400) << result->body;
    EXPECT_EQ(json::parse(result->body)["error"]["param"].get<std::string>(), "resolution");
  }
}

TEST(Server, SlowClientsAreCutOff) {
  ServerOptions options;
  options.send_timeout_ms = 300;
  options.idle_timeout_ms = 300;
  Running server(options);
  RawClient idle(server.port());
  RawClient head(server.port());
  head.Send("POST /v1/chat/completions HTTP/1.1\r\nHost: loc");
  RawClient body(server.port());
  body.Send(PostHead("Content-Length: 1000\r\n\r\n{"));
  EXPECT_THAT(idle.Read(), Not(HasSubstr("open")));
  EXPECT_THAT(head.Read(), Not(HasSubstr("open")));
  EXPECT_THAT(body.Read(), StartsWith("HTTP/1.1 408"));
  // One byte now and then does not help.
  RawClient drop(server.port());
  drop.Send("GET /health HTTP/1.1\r\nX: ");
  EXPECT_TRUE(Eventually([&] {
    drop.Send("a");
    return !drop.Read(50).ends_with("...open");
  }));
}

TEST(Server, ConnectionsAreLimited) {
  ServerOptions options;
  options.max_connections = 2;
  Running server(options);
  RawClient first(server.port());
  RawClient second(server.port());
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string body = R"({"status":"ok"})";
  first.Send(get);
  second.Send(get);
  EXPECT_THAT(first.ReadUntil(body), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(second.ReadUntil(body), StartsWith("HTTP/1.1 200"));
  RawClient third(server.port());
  EXPECT_THAT(third.Read(), StartsWith("HTTP/1.1 503"));
  first.Close();
  EXPECT_TRUE(Eventually([&] {
    RawClient later(server.port());
    later.Send(get);
    return later.ReadUntil(body).starts_with("HTTP/1.1 200");
  }));
}

TEST(Server, AFullQueueIs429) {
  EngineOptions engine;
  engine.max_active = 1;
  engine.max_queued = 1;
  Running server({}, engine);
  std::future<int> waiting;
  EngineHold hold(server.engine());
  waiting = PostInBackground(server, Question("Hello"));
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
  for (int i = 0; i < 3; ++i) {
    const httplib::Result refused = server.Post("/v1/chat/completions", Question("Hello"));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 429) << refused->body;
    EXPECT_GT(std::stoi(refused->get_header_value("Retry-After")), 0);
    EXPECT_EQ(json::parse(refused->body)["error"]["type"], "rate_limit_error");
  }
  hold.Release();
  EXPECT_EQ(waiting.get(), 200);
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Server, AClientThatGoesAwayCancels) {
  Running server;
  size_t gone = 0;
  const auto close_and_expect_cancelled = [&](RawClient& client, EngineHold& hold) {
    client.Close();
    ++gone;
    ASSERT_TRUE(Eventually([&] { return Count(server.log(), "client gone") == gone; }));
    hold.Release();
    EXPECT_TRUE(Eventually([&] {
      const EngineStats stats = server.engine().stats();
      return stats.active == 0 && stats.cancelled == static_cast<int64_t>(gone);
    }));
  };
  json request = Question("Describe the image.", SampleUri());
  for (bool stream : {false, true}) {  // while the request waits
    request["stream"] = stream;
    EngineHold hold(server.engine());
    RawClient client(server.port());
    client.Send(PostText(request));
    ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
    close_and_expect_cancelled(client, hold);
  }
  // In the middle of a stream.
  request = Question("Hello");
  request["stream"] = true;
  EngineHold hold(server.engine());
  RawClient client(server.port());
  client.Send(PostText(request));
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
  for (int i = 0; i < 6; ++i) hold.Step();  // enough for its prompt and a token
  EXPECT_THAT(client.ReadUntil("data: {"), HasSubstr("data: {"));
  close_and_expect_cancelled(client, hold);
}

TEST(Server, AClientThatDoesNotReadItsAnswerIsDropped) {
  ServerOptions options;
  options.write_timeout_ms = 300;
  Running server(options);
  json request = Question("Describe the image.");
  request["stream"] = true;
  request["max_tokens"] = 900;  // more than the sockets' buffers hold
  request["logprobs"] = true;
  request["top_logprobs"] = 20;
  RawClient client(server.port(), /*receive_buffer=*/4096);
  client.Send(PostText(request));
  ASSERT_TRUE(Eventually([&] { return server.log().find("client gone") != std::string::npos; }));
  EXPECT_TRUE(Eventually([&] { return server.engine().stats().active == 0; }));
  const std::string answer = client.Read();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("data: {"));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
  EXPECT_THAT(answer, Not(HasSubstr("...open")));
  server.Chat(Question("Hello"));
}

// demo.png takes 28 KB in its file and 192 KB as pixels; a body counts three times.
TEST(Server, RequestsThatTakeTooMuchMemoryTogetherAre503) {
  ServerOptions options;
  options.max_request_bytes = 200'000;
  Running server(options);
  const char* path = "/v1/chat/completions";
  const auto expect_413 = [&](const json& body) {  // which no waiting helps against
    const httplib::Result result = server.Post(path, body);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->status, 413) << result->body;
    EXPECT_THAT(json::parse(result->body)["error"]["message"].get<std::string>(),
                HasSubstr("more memory"));
  };
  expect_413(Question("What is this?", SampleUri()));  // the pixels
  expect_413(Question(std::string(100'000, 'x')));     // the body
  server.Chat(Question("Hello"));                      // and all of it was given back
  json wordy = Question("Hello");
  wordy["user"] = std::string(8000, 'u');
  EXPECT_TRUE(Eventually([&] {
    RawClient other(server.port());
    other.Send(PostHead("Content-Length: 60000\r\n\r\n{"));
    const httplib::Result result = server.Post(path, wordy);
    return result && result->status == 503;
  }));
  EXPECT_TRUE(Eventually([&] {
    const httplib::Result result = server.Post(path, Question("Hello"));
    return result && result->status == 200;
  }));
}

TEST(Server, ARequestThatTakesTooLongIs504) {
  ServerOptions options;
  options.request_timeout_ms = 1;
  Running server(options);
  std::future<int> answer;
  EngineHold hold(server.engine());
  answer = PostInBackground(server, Question("Hello"));
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // its time is over
  hold.Release();
  EXPECT_EQ(answer.get(), 504);
}

TEST(Server, StoppingFinishesWhatRuns) {
  Running server;
  std::future<int> answer;
  std::future<void> stopped;
  EngineHold hold(server.engine());
  answer = PostInBackground(server, Question("Hello"));
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().queued == 1; }));
  RawClient idle(server.port());
  stopped = std::async(std::launch::async, [&] { server.Stop(); });
  EXPECT_TRUE(Eventually([&] { return !RawClient(server.port()).connected(); }));
  hold.Release();
  stopped.get();  // when everything has ended, the idle connection too
  EXPECT_EQ(answer.get(), 200);
}

}  // namespace
}  // namespace fastvlm
