// Fetches a picture that a request names by its URL.
#ifndef FASTVLM_SERVER_REMOTE_IMAGE_H_
#define FASTVLM_SERVER_REMOTE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/address.h"

namespace fastvlm {

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
// server does wrong), kTimedOut, kResourceExhausted (too large). Messages do not tell what a
// private address would have answered.
Result<std::vector<uint8_t>> FetchRemoteImage(const std::string& url,
                                              const RemoteImageOptions& options);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_REMOTE_IMAGE_H_
