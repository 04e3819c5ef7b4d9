// Accepts connections and serves HTTP/1.1 on them, each on a thread of its own. httplib finds the
// handlers and writes the answers; what a request is, is decided before (http_reader.h). Sockets,
// waits and limits are ours: httplib's own would let a slow client hold a thread for as long as it
// likes, and end answers in the middle when the server stops.
#ifndef FASTVLM_SERVER_HTTP_SERVER_H_
#define FASTVLM_SERVER_HTTP_SERVER_H_

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "server/connection.h"
#include "server/tls.h"

namespace fastvlm {

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;       // 0: any that is free
  std::string tls_cert;  // PEM files; both empty: no TLS
  std::string tls_key;
  int max_connections = 128;  // 1..900: httplib cannot serve file descriptors above 1023
  ConnectionLimits connection;
};

class HttpServer : protected httplib::Server {
 public:
  explicit HttpServer(const HttpServerOptions& options);
  ~HttpServer() override;

  // Takes the port. kIoError if that fails, also because somebody else has it.
  Status Listen();
  int port() const { return port_; }
  bool tls() const { return tls_ != nullptr; }

  // Serves until Stop; then takes no connection and no further request, calls `drain`, and returns
  // when the answers under way have been written.
  void Run(const std::function<void()>& drain);
  // From any thread or signal handler.
  void Stop();
  bool stopping() const { return stopping_.load(); }

  int connections() const { return connections_.load(); }

 protected:
  // The body of the answer to a request that is no proper HTTP, and so comes to no handler.
  virtual std::string Refuse(const HttpProblem& problem, const Connection& connection) = 0;

 private:
  using Setup = std::function<void(httplib::Request&)>;

  void Accept();
  void Serve(int socket);
  void AnswerRefused(Connection& connection);
  // Calls httplib's process_request, which has more parameters since version 0.18.
  template <typename Self>
  static bool Process(Self& self, Connection& connection, bool last, bool& closed_by_client,
                      const Setup& setup);

  const HttpServerOptions options_;
  std::unique_ptr<TlsContext> tls_;
  int listener_ = -1;
  int wake_ = -1;  // an eventfd: Stop has been called
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::condition_variable all_ended_;  // connections_ is 0
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_HTTP_SERVER_H_
