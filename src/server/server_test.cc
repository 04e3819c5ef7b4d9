// A server on the bundled model, used as clients use it, well and badly.
#include "server/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "fastvlm/fastvlm.h"
#include "server/remote_image.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kNano = std::string(FASTVLM_SOURCE_DIR) + "/models/nano";

std::shared_ptr<const Model> Nano() {
  static const std::shared_ptr<const Model> model = Model::Load(kNano).value();
  return model;
}

std::vector<uint8_t> SampleBytes(const std::string& name) {
  return ReadBinaryFile(kNano + "/samples/" + name, 1 << 24).value();
}

std::string Base64(const std::vector<uint8_t>& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::string SampleUri(const std::string& name = "demo.png") {
  return "data:image/png;base64," + Base64(SampleBytes(name));
}

constexpr int kMaxTokens = 40;  // without a picture the model does not know when to stop

json Question(const std::string& text, const std::string& image_uri = {}) {
  json content = json::array();
  if (!image_uri.empty()) {
    content.push_back({{"type", "image_url"}, {"image_url", {{"url", image_uri}}}});
  }
  content.push_back({{"type", "text"}, {"text", text}});
  return {{"model", "nano"},
          {"max_tokens", kMaxTokens},
          {"messages", {{{"role", "user"}, {"content", content}}}}};
}

Answer SessionAnswer(const std::string& text, const std::string& image = {}) {
  Session session = Session::Create(Nano()).value();
  UserTurn turn;
  turn.text = text;
  if (!image.empty()) turn.images.push_back(Image::FromBytes(SampleBytes(image), image).value());
  GenerateOptions options;
  options.max_tokens = kMaxTokens;
  return session.Ask(turn, options).value();
}

class Running {
 public:
  explicit Running(ServerOptions options = {}, EngineOptions engine_options = {}) {
    engine_options.context_tokens = 1024;
    engine_ = Engine::Create(Nano(), engine_options).value();
    options.port = 0;
    options.model_name = "nano";
    options.max_queued = engine_options.max_queued;
    options.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
    server_ = Server::Create(*engine_, options).value();
    thread_ = std::thread([this] { server_->Run(); });
  }
  ~Running() { Stop(); }

  void Stop() {
    server_->Stop();
    if (thread_.joinable()) thread_.join();
  }
  void StopSoon() { server_->Stop(); }

  httplib::Client Client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(60);
    return client;
  }
  httplib::Result Post(const std::string& path, const json& body) const {
    return Client().Post(path, body.dump(), "application/json");
  }
  json Chat(const json& body) const {
    const httplib::Result result = Post("/v1/chat/completions", body);
    EXPECT_TRUE(result) << httplib::to_string(result.error());
    if (!result) return {};
    EXPECT_EQ(result->status, 200) << result->body;
    return json::parse(result->body);
  }
  int port() const { return server_->port(); }
  Engine& engine() { return *engine_; }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::mutex mutex_;
  std::string log_;
};

// A client that may break the rules.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { Close(); }
  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }
  bool connected() const { return connected_; }
  void Send(const std::string& text) const {
    send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
  }
  // All until the server closes; "...open" if it does not within the time.
  std::string Read(int timeout_ms = 10'000) const {
    std::string text;
    while (true) {
      pollfd wanted{socket_, POLLIN, 0};
      if (poll(&wanted, 1, timeout_ms) <= 0) return text + "...open";
      char buffer[4096];
      const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
      if (got <= 0) return text;
      text.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  int socket_;
  bool connected_ = false;
};

std::string PostHead(const std::string& more) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
         "Content-Type: application/json\r\n" +
         more;
}

std::string PostText(const json& body) {
  const std::string text = body.dump();
  return PostHead("Content-Length: " + std::to_string(text.size()) + "\r\n\r\n") + text;
}

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

template <typename Condition>
bool Eventually(const Condition& condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return false;
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
  const httplib::Result metrics = server.Client().Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_THAT(metrics->body, HasSubstr("fastvlm_images_encoded_total 1\n"));
  EXPECT_THAT(metrics->body, HasSubstr("route=\"/v1/chat/completions\",status=\"200\"} 2\n"));
  EXPECT_THAT(metrics->body, HasSubstr("fastvlm_time_to_first_token_seconds_count 2\n"));
}

TEST(Server, SmallRoutesAnswer) {
  Running server;
  httplib::Client client = server.Client();
  EXPECT_EQ(client.Get("/health")->body, R"({"status":"ok"})");
  EXPECT_EQ(json::parse(client.Get("/v1/models")->body)["data"][0]["id"], "nano");
  EXPECT_EQ(json::parse(client.Get("/v1/models/nano")->body)["id"], "nano");
  EXPECT_EQ(client.Get("/v1/models/other")->status, 404);
  EXPECT_EQ(json::parse(client.Get("/api/tags")->body)["models"][0]["name"], "nano");
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
  RawClient negative(server.port());
  negative.Send(PostHead("Content-Length: -5\r\n\r\n"));
  EXPECT_THAT(negative.Read(), StartsWith("HTTP/1.1 411"));
  RawClient huge(server.port());
  huge.Send(PostHead("Content-Length: 99999999999999999999999\r\n\r\n"));
  EXPECT_THAT(huge.Read(), StartsWith("HTTP/1.1 413"));
  server.Chat(Question("Hello"));
}

TEST(Server, GarbageIsRefused) {
  Running server;
  for (const std::string& text :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 13),
        "GET /" + std::string(10'000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n"}) {
    RawClient client(server.port());
    client.Send(text);
    EXPECT_THAT(client.Read(2000), AnyOf(StartsWith("HTTP/1.1 4"), "", "...open"))
        << text.substr(0, 40);
  }
  EXPECT_EQ(server.Client().Get("/health")->status, 200);
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
  const auto start = std::chrono::steady_clock::now();
  std::string answer;
  do {
    drop.Send("a");
    answer = drop.Read(50);
  } while (answer.ends_with("...open") &&
           std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Server, ConnectionsAreLimited) {
  ServerOptions options;
  options.max_connections = 2;
  Running server(options);
  RawClient first(server.port());
  RawClient second(server.port());
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  first.Send(get);
  second.Send(get);
  EXPECT_THAT(first.Read(500), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(second.Read(500), StartsWith("HTTP/1.1 200"));
  RawClient third(server.port());
  EXPECT_THAT(third.Read(), StartsWith("HTTP/1.1 503"));
  first.Close();
  EXPECT_TRUE(Eventually([&] {
    RawClient later(server.port());
    later.Send(get);
    return later.Read(300).starts_with("HTTP/1.1 200");
  }));
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

// A request that takes a while: a large picture, different each time.
json SlowRequest(int number) {
  json request = Question("Describe the image number " + std::to_string(number), SampleUri());
  request["resolution"] = 320 + 32 * number;
  return request;
}

TEST(Server, AFullQueueIs429) {
  EngineOptions engine;
  engine.max_active = 1;
  engine.max_queued = 1;
  engine.image_cache_bytes = 0;
  engine.prefix_cache_bytes = 0;
  Running server({}, engine);
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      const httplib::Result result = server.Post("/v1/chat/completions", SlowRequest(i));
      ASSERT_TRUE(result);
      if (result->status == 200) ++served;
      if (result->status == 429) {
        ++refused;
        EXPECT_GT(std::stoi(result->get_header_value("Retry-After")), 0);
        EXPECT_EQ(json::parse(result->body)["error"]["type"], "rate_limit_error");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served + refused, 8);
  EXPECT_GE(served, 1);
  EXPECT_GE(refused, 1);
}

TEST(Server, AClientThatGoesAwayCancels) {
  Running server;
  for (bool stream : {false, true}) {
    json request = SlowRequest(stream ? 1 : 2);
    request["resolution"] = stream ? 832 : 864;  // nearly all of nano's context
    request["stream"] = stream;
    const int64_t before = server.engine().stats().cancelled;
    RawClient client(server.port());
    client.Send(PostText(request));
    ASSERT_TRUE(Eventually([&] { return server.engine().stats().active > 0; }));
    client.Close();
    EXPECT_TRUE(Eventually([&] {
      const EngineStats stats = server.engine().stats();
      return stats.active == 0 && stats.cancelled == before + 1;
    })) << "stream "
        << stream;
  }
  server.Stop();
  EXPECT_THAT(server.log(), HasSubstr("client gone"));
}

TEST(Server, ARequestThatTakesTooLongIs504) {
  ServerOptions options;
  options.request_timeout_ms = 1;
  Running server(options);
  const httplib::Result result = server.Post("/v1/chat/completions", SlowRequest(1));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 504) << result->body;
}

TEST(Server, StoppingFinishesWhatRuns) {
  Running server;
  int status = 0;
  std::thread client([&] {
    const httplib::Result result = server.Post("/v1/chat/completions", SlowRequest(1));
    status = result ? result->status : -1;
  });
  ASSERT_TRUE(Eventually([&] { return server.engine().stats().active > 0; }));
  RawClient idle(server.port());
  server.Stop();  // returns when everything has ended, the idle connection too
  client.join();
  EXPECT_EQ(status, 200);
  EXPECT_FALSE(RawClient(server.port()).connected());
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

TEST(RemoteImage, IsFetchedWithinItsLimitsFromPublicAddressesOnly) {
  Running server;
  const std::string base = "http://127.0.0.1:" + std::to_string(server.port());
  RemoteImageOptions options;
  const auto code = [&](const std::string& url) {
    const auto fetched = FetchRemoteImage(url, options);
    return fetched.ok() ? StatusCode::kOk : fetched.status().code();
  };
  for (const std::string& url :
       {base + "/samples/demo.png", "http://localhost:" + std::to_string(server.port()) + "/health",
        std::string("http://[::1]:80/"), std::string("http://0x7f000001/")}) {
    const auto refused = FetchRemoteImage(url, options);
    ASSERT_FALSE(refused.ok()) << url;
    EXPECT_THAT(refused.status().message(), HasSubstr("not public")) << url;
  }
  EXPECT_EQ(code("file:///etc/passwd"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("gopher://127.0.0.1/"), StatusCode::kInvalidArgument);
  options.allow_private_addresses = true;
  EXPECT_EQ(FetchRemoteImage(base + "/samples/demo.png", options).value(), SampleBytes("demo.png"));
  EXPECT_EQ(code(base + "/nothing"), StatusCode::kInvalidArgument);
  options.max_bytes = 100;
  EXPECT_EQ(code(base + "/samples/demo.png"), StatusCode::kResourceExhausted);
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
