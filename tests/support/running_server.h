// A server on the bundled model, in this process, and clients for it: good ones and ones that break
// the rules.
#ifndef FASTVLM_TESTS_SUPPORT_RUNNING_SERVER_H_
#define FASTVLM_TESTS_SUPPORT_RUNNING_SERVER_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "fastvlm/fastvlm.h"
#include "server/server.h"
#include "support/paths.h"

namespace fastvlm {

using nlohmann::json;

inline std::shared_ptr<const Model> Nano() {
  static const std::shared_ptr<const Model> model = Model::Load(kNano).value();
  return model;
}

inline std::vector<uint8_t> SampleBytes(const std::string& name) {
  return ReadBinaryFile(kNano + "/samples/" + name, 1 << 24).value();
}

inline std::string Base64(const std::vector<uint8_t>& bytes) {
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

inline std::string SampleUri(const std::string& name = "demo.png") {
  return "data:image/png;base64," + Base64(SampleBytes(name));
}

inline constexpr int kMaxTokens = 40;  // without a picture the model does not know when to stop

inline json Question(const std::string& text, const std::string& image_uri = {}) {
  json content = json::array();
  if (!image_uri.empty()) {
    content.push_back({{"type", "image_url"}, {"image_url", {{"url", image_uri}}}});
  }
  content.push_back({{"type", "text"}, {"text", text}});
  return {{"model", "nano"},
          {"max_tokens", kMaxTokens},
          {"messages", {{{"role", "user"}, {"content", content}}}}};
}

inline Answer SessionAnswer(const std::string& text, const std::string& image = {}) {
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

// How long a test waits for what has to come: only a test that fails waits so long.
inline constexpr int kPatienceMs = 60'000;

// Keeps an engine from going on, so that a test decides what waits and what runs. It is a request
// of its own, one of the active ones, and holds the engine's thread in its callback.
class EngineHold {
 public:
  // Returns when the engine is held.
  explicit EngineHold(Engine& engine) {
    EngineRequest request;
    request.prompt = "Hello";
    request.generate.max_tokens = 64;
    request.top_logprobs = 0;  // so that each token is an event
    const auto submitted =
        engine.Submit(std::move(request), [state = state_](const EngineEvent& event) {
          if (event.token == nullptr) return true;
          if (!state->is_held.exchange(true)) state->held.count_down();
          if (!state->released) state->steps.acquire();
          return true;
        });
    EXPECT_TRUE(submitted.ok()) << submitted.status().message();
    state_->held.wait();
  }
  ~EngineHold() { Release(); }
  EngineHold(const EngineHold&) = delete;
  EngineHold& operator=(const EngineHold&) = delete;

  // Lets the engine do one step more, in which every active request gets a token.
  void Step() { state_->steps.release(); }
  void Release() {
    state_->released = true;
    state_->steps.release();
  }

 private:
  struct State {
    std::latch held{1};
    std::atomic<bool> is_held = false;
    std::atomic<bool> released = false;
    std::counting_semaphore<> steps{0};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A client that may break the rules.
class RawClient {
 public:
  // receive_buffer: bytes that are taken before Read is called, about; 0: the system's default. The
  // server's buffer is kept small as well, by small segments.
  explicit RawClient(int port, int receive_buffer = 0) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
      const int segment = 536;
      setsockopt(socket_, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    }
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
  // All until the server closes, or until there is `last` in it; "...open" at its end if neither
  // happens before nothing has come for the time.
  std::string Read(int timeout_ms = kPatienceMs, const std::string& last = {}) const {
    std::string text;
    while (last.empty() || text.find(last) == std::string::npos) {
      pollfd wanted{socket_, POLLIN, 0};
      if (poll(&wanted, 1, timeout_ms) <= 0) return text + "...open";
      char buffer[4096];
      const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
      if (got <= 0) return text;
      text.append(buffer, static_cast<size_t>(got));
    }
    return text;
  }
  std::string ReadUntil(const std::string& last) const { return Read(kPatienceMs, last); }

 private:
  int socket_;
  bool connected_ = false;
};

inline std::string PostHead(const std::string& more) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
         "Content-Type: application/json\r\n" +
         more;
}

inline std::string PostText(const json& body) {
  const std::string text = body.dump();
  return PostHead("Content-Length: " + std::to_string(text.size()) + "\r\n\r\n") + text;
}

// True as soon as the condition is; false if it never is.
template <typename Condition>
bool Eventually(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_RUNNING_SERVER_H_
