#include "server/remote_image.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <memory>

#include "base/printable.h"
#include "base/url.h"

namespace fastvlm {
namespace {

struct Fetch {
  const RemoteImageOptions& options;
  std::vector<uint8_t> body;
  bool refused_address = false;
  bool too_large = false;
};

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
  fetch.body.insert(fetch.body.end(), data, data + count);
  return count;
}

void SetOptions(CURL* curl, const std::string& url, Fetch& fetch) {
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
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(fetch.options.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(fetch.options.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "fastvlm");
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &fetch);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, Write);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &fetch);
}

}  // namespace

Result<std::vector<uint8_t>> FetchRemoteImage(const std::string& url,
                                              const RemoteImageOptions& options) {
  FASTVLM_RETURN_IF_ERROR(CheckUrl(url));
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (initialized != CURLE_OK || curl == nullptr) {
    return Error(StatusCode::kIoError, "libcurl cannot be used");
  }
  Fetch fetch{options, {}};
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
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Error(StatusCode::kTimedOut, "{}: not fetched within {} ms", name, options.timeout_ms);
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
