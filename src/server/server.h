// The HTTP server: the APIs of OpenAI, Ollama and Anthropic before an engine, and the web page.
#ifndef FASTVLM_SERVER_SERVER_H_
#define FASTVLM_SERVER_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "fastvlm/engine.h"
#include "fastvlm/image.h"
#include "server/key_limits.h"

namespace fastvlm {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;       // 0: any that is free
  std::string tls_cert;  // PEM files; both empty: plain HTTP
  std::string tls_key;
  std::string model_name;  // what clients see
  int max_queued = 64;     // the engine's limit, to refuse before any work is done

  std::vector<std::string> api_keys;       // any of them; none: everybody may use the server
  std::vector<std::string> cors_origins;   // web pages elsewhere that may; "*": all
  std::vector<std::string> allowed_hosts;  // names that the server may be called by, too
  KeyLimit limit_per_key;

  int max_connections = 128;  // 1..900
  size_t max_body_bytes = size_t{64} << 20;
  int64_t max_request_bytes = int64_t{2} << 30;  // bodies and pixels of all requests together
  int max_images = 16;                           // in one request
  int64_t max_encoder_pixels = 2048 * 3072;      // that a request may bring its pictures to, each
  // Of one image. Phones take up to 108 megapixels, and 200 in rare modes. A JPEG is never held
  // whole; what must be, such as a PNG, may take 4 bytes for each of these pixels while it is
  // decoded.
  ImageOptions image = {
      .max_pixels = 120'000'000, .max_side = 32'768, .max_decode_bytes = 480'000'000};
  int max_tokens = 2048;  // longest answer
  bool allow_remote_images = false;
  double request_timeout_ms = 300'000;  // for a request, from its first byte to its answer's end
  double drain_timeout_ms = 60'000;     // for answers under way when the server stops
  // How long a client may take ...
  double idle_timeout_ms = 15'000;   // between two requests
  double send_timeout_ms = 20'000;   // to send one, beside what its bytes take at 32 KiB/s
  double write_timeout_ms = 30'000;  // to receive one piece of an answer

  std::function<void(const std::string& line)> log;  // one line for each request; thread-safe
};

class Server {
 public:
  // Takes the port; nothing is answered before Run. kInvalidArgument, or kIoError if the port
  // cannot be had. The engine must outlive the server, and nobody else may drain it.
  static Result<std::unique_ptr<Server>> Create(Engine& engine, const ServerOptions& options);
  ~Server();

  int port() const;
  std::string url() const;  // "http://127.0.0.1:8080"

  // Serves until Stop, and then until what was under way has been answered.
  void Run();
  // From any thread or signal handler.
  void Stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_SERVER_H_
