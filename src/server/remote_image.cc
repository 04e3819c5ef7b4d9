#include "server/remote_image.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <memory>

#include "base/out_of_memory.h"
#include "base/printable.h"
#include "base/url.h"

namespace fastvlm {
namespace {

using Clock = std::chrono::steady_clock;

struct Fetch {
  const RemoteImageOptions& options;
  const FetchLimits& limits;
  std::vector<uint8_t> body;
  size_t taken = 0;  // of the request's memory
  bool refused_address = false;
  bool too_large = false;
  bool no_memory = false;
  bool stopped = false;
};

constexpr size_t kTakeStep = size_t{1} << 20;

// Makes room for `count` bytes more; false if there is none.
bool Grow(Fetch& fetch, size_t count) {
  const size_t size = fetch.body.size() + count;
  if (size <= fetch.taken) return true;
  const size_t step = std::max(size - fetch.taken, kTakeStep);
  if (fetch.limits.take && !fetch.limits.take(step)) return false;
  fetch.taken += step;
  try {
    fetch.body.reserve(fetch.taken);
  } catch (const std::exception&) {  // which must not pass through libcurl
    return false;
  }
  return true;
}

curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  Fetch& fetch = *static_cast<Fetch*>(user);
  if (!fetch.options.allows(address->addr)) {
    fetch.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

size_t Write(char* data, size_t, size_t count, void* user) {
  Fetch& fetch = *static_cast<Fetch*>(user);
  if (count > fetch.options.max_bytes - fetch.body.size()) {
    fetch.too_large = true;
    return 0;
  }
  if (!Grow(fetch, count)) {
    fetch.no_memory = true;
    return 0;
  }
  fetch.body.insert(fetch.body.end(), data, data + count);
  return count;
}

// Called about once a second, and whenever something comes. Not 0: ends the transfer.
int Progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Fetch& fetch = *static_cast<Fetch*>(user);
  fetch.stopped = fetch.limits.stop && fetch.limits.stop();
  return fetch.stopped ? 1 : 0;
}

// What is left of the fetch's own time and of the request's, at least 1 ms.
int64_t TimeLeft(const Fetch& fetch) {
  const Clock::time_point now = Clock::now();
  if (fetch.limits.deadline <= now) return 1;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(fetch.limits.deadline - now);
  return std::clamp<int64_t>(left.count(), 1, fetch.options.timeout_ms);
}

void SetOptions(CURL* curl, const std::string& url, Fetch& fetch) {
  const auto time_left = static_cast<long>(TimeLeft(fetch));
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);  // of a redirect
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, static_cast<long>(fetch.options.max_redirects));
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // a proxy's address would be checked, not the goal's
  curl_easy_setopt(curl, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, time_left);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, time_left);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "fastvlm");
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &fetch);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, Progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &fetch);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Write);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetch);
}

}  // namespace

Result<std::vector<uint8_t>> FetchRemoteImage(const std::string& url,
                                              const RemoteImageOptions& options,
                                              const FetchLimits& limits) {
  FASTVLM_RETURN_IF_ERROR(CheckUrl(url));
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (initialized != CURLE_OK || curl == nullptr) {
    return Error(StatusCode::kIoError, "libcurl cannot be used");
  }
  Fetch fetch{options, limits, {}};
  SetOptions(curl.get(), url, fetch);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_OK) return std::move(fetch.body);
  const std::string name = Quoted(url);
  if (fetch.refused_address) {
    return Error(StatusCode::kInvalidArgument,
                 "{}: leads to an address that is not public; only public ones are fetched from",
                 name);
  }
  if (fetch.too_large) {
    return Error(StatusCode::kResourceExhausted, "{}: larger than the limit of {} bytes", name,
                 options.max_bytes);
  }
  if (fetch.no_memory)
    return CatchOutOfMemory({"a picture", "try again later"},
                            [&]() -> Status { throw OutOfMemory(kTakeStep); });
  if (fetch.stopped) return Error(StatusCode::kCancelled, "{}: not wanted any more", name);
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Error(StatusCode::kTimedOut, "{}: not fetched in time", name);
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    return Error(StatusCode::kInvalidArgument, "{}: the server answered with status {}", name,
                 status);
  }
  return Error(StatusCode::kInvalidArgument, "{}: {}", name, curl_easy_strerror(code));
}

}  // namespace fastvlm
