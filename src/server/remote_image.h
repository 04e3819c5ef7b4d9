// Fetches a picture that a request names by its URL.
#ifndef FASTVLM_SERVER_REMOTE_IMAGE_H_
#define FASTVLM_SERVER_REMOTE_IMAGE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/address.h"

namespace fastvlm {

// What one request leaves for a fetch.
struct FetchLimits {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  std::function<bool()> stop;              // true: nobody wants the picture any more
  std::function<bool(size_t bytes)> take;  // called before memory is; false: there is none
};

struct RemoteImageOptions {
  size_t max_bytes = size_t{20} << 20;
  int64_t timeout_ms = 15'000;
  int max_redirects = 3;
  // Which addresses may be connected to. Tests let a server of their own in.
  std::function<bool(const sockaddr& address)> allows = IsPublicAddress;
};

// The body of a GET, of http and https only, without cookies, proxies or credentials. Only public
// addresses are connected to, checked for each connection that is made, so that neither a name that
// resolves to this machine nor a redirect gets there. Errors: kInvalidArgument (also what the other
// server does wrong), kTimedOut, kCancelled (stopped), kResourceExhausted (too large, or no memory,
// which IsOutOfMemory tells apart). Messages do not tell what a private address would have
// answered.
Result<std::vector<uint8_t>> FetchRemoteImage(const std::string& url,
                                              const RemoteImageOptions& options,
                                              const FetchLimits& limits = {});

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_REMOTE_IMAGE_H_
