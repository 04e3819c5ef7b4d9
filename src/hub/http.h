// HTTP over libcurl: single requests with redirects, time limits and a way to stop.
#ifndef FASTVLM_HUB_HTTP_H_
#define FASTVLM_HUB_HTTP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace fastvlm {

struct HttpOptions {
  int connect_timeout_ms = 20'000;
  int stall_timeout_s = 30;    // after this time without a byte the connection counts as dropped
  int retries = 5;             // in a row, without a byte gained in between
  int retry_delay_ms = 1'000;  // before the first, doubled for each further one
  int max_wait_ms = 60'000;    // longest wait before a retry, a server's Retry-After included
  std::function<bool()> stop;  // polled; true ends the transfer with kCancelled
  std::function<void(const std::string&)> note;  // what is being waited for
};

struct HttpRequest {
  std::string url;
  std::string token;                 // sent as bearer token to the host of `url` and to no other
  std::vector<std::string> headers;  // "Name: value"
};

// The last response, after redirects.
struct HttpResponse {
  int status = 0;            // 0: there was none
  int64_t length = -1;       // of this body, bytes; -1 if unknown
  int64_t range_start = -1;  // of a partial response (206)
  int64_t range_total = -1;
  std::string validator;  // ETag if it is strong, else Last-Modified; "" if neither
  int retry_after_s = -1;
};

// How a transfer ended. `status` is ok if a successful response came in whole.
struct HttpOutcome {
  Status status;
  HttpResponse response;
  bool may_retry = false;  // the same request may work later
  bool connected = false;  // a server answered
};

// Called before the first byte of a successful (2xx) response and, if there is none, at its end.
using HttpBeginFn = std::function<Status(const HttpResponse& response)>;
using HttpDataFn = std::function<Status(std::span<const uint8_t> bytes)>;

// One GET, without retries. An error of the callbacks ends the transfer and is its status.
HttpOutcome HttpGet(const HttpRequest& request, const HttpOptions& options,
                    const HttpBeginFn& begin, const HttpDataFn& data);

// Counts and waits between attempts.
class Backoff {
 public:
  explicit Backoff(const HttpOptions& options) : options_(options) {}
  // Waits before the next attempt. False if there is none: no tries left, or stopped.
  bool Wait(const HttpOutcome& outcome);
  void Reset() { failures_ = 0; }

 private:
  const HttpOptions& options_;
  int failures_ = 0;
};

// The body of a GET with retries. kResourceExhausted above max_bytes.
Result<std::string> FetchText(const HttpRequest& request, size_t max_bytes,
                              const HttpOptions& options);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_HTTP_H_
