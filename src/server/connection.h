// One client's connection: what httplib reads from and writes to, with every wait bounded.
#ifndef FASTVLM_SERVER_CONNECTION_H_
#define FASTVLM_SERVER_CONNECTION_H_

#include <httplib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/stopwatch.h"
#include "server/http_reader.h"
#include "server/tls.h"

namespace fastvlm {

struct ConnectionLimits {
  double idle_timeout_ms = 15'000;  // between two requests
  // A request has this time to come, plus what its bytes take at this speed.
  double request_timeout_ms = 20'000;
  double min_bytes_per_s = 32 * 1024;
  double write_timeout_ms = 30'000;   // for one piece of an answer
  size_t max_head_bytes = 64 * 1024;  // request line and headers
};

// What the log says about a request, filled in while it is served.
struct RequestRecord {
  Stopwatch since_start;
  int64_t prompt_tokens = -1;  // -1: the request was not about an answer
  int64_t completion_tokens = 0;
  uint64_t key = 0;  // which of the API keys the client has, from 1; 0: none is needed
  std::string note;
};

// Used by one thread. Owns the socket, which becomes non-blocking.
class Connection final : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(int socket, const TlsContext* tls, const ConnectionLimits& limits,
             const std::atomic<bool>& stopping);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The connection that this thread serves, nullptr on other threads. A request handler asks for
  // its connection here, because httplib cannot hand it over.
  static Connection* Current();

  // Agrees with the client on TLS, where the server has it. False if that fails.
  bool Handshake();
  // Waits for the first byte of a request; false if none comes, or the server stops.
  bool WaitForRequest();
  // Reads the request's head. False if it does not come in time, or has a problem.
  bool ReadHead();
  // What is wrong with the request as a message of HTTP, in its head or in what was read of its
  // body.
  const HttpProblem& problem() const { return reader_.problem(); }
  // True if the client has closed its end. A client that only closes its writing side counts as
  // gone, too.
  bool ClientGone() const;
  // Takes no further request on this connection. This is for a request that is not read to its end:
  // the rest of it would be taken for the next one.
  void CloseAfterThis() { close_ = true; }
  bool closes() const { return close_; }
  // Lets the client read the answer before the socket is closed: reads and drops what it still
  // sends, for a moment.
  void Linger();

  RequestRecord& record() { return record_; }
  const RequestRecord& record() const { return record_; }

  // httplib::Stream. read: bytes of the request in its plain form (http_reader.h), 0 at its end, -1
  // on errors and beyond a limit.
  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  enum class Direction { kRead, kWrite };
  // False when the deadline has passed.
  bool Wait(Direction direction, Clock::time_point deadline) const;
  Clock::time_point ReadDeadline() const;
  // Reads from the socket what comes next. False at its end, on errors and beyond a time limit.
  bool Fill();
  // One attempt: > 0 bytes, 0 end, -1 error, kAgain with `wanted` set to what to wait for.
  ssize_t TryRead(char* data, size_t size, Direction* wanted);
  ssize_t TryWrite(const char* data, size_t size, Direction* wanted);

  const int socket_;
  const ConnectionLimits& limits_;
  const std::atomic<bool>& stopping_;
  SslPointer ssl_;
  std::array<char, 16 * 1024> buffer_;
  HttpReader reader_;
  size_t given_ = 0;  // how much of the reader's plain form has been read
  Clock::time_point request_start_ = Clock::now();
  int64_t request_bytes_ = 0;
  bool close_ = false;
  RequestRecord record_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_CONNECTION_H_
