// Who may use the server: keys, and which web pages.
#ifndef FASTVLM_SERVER_ACCESS_H_
#define FASTVLM_SERVER_ACCESS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace fastvlm {

struct AccessOptions {
  std::vector<std::string> api_keys;       // any of them; none: everybody
  std::vector<std::string> cors_origins;   // "https://app.example"; "*": every web page
  std::vector<std::string> allowed_hosts;  // names that the server may be called by, too
  bool loopback = true;                    // the server listens on a loopback address
  std::string machine_name;                // "box" or "box.lan"; empty: unknown
};

// The headers that decide; empty if absent.
struct AccessHeaders {
  std::string_view authorization;
  std::string_view x_api_key;  // where Anthropic's clients send their key
  std::string_view host;
  std::string_view origin;
};

class Access {
 public:
  explicit Access(const AccessOptions& options);

  // What is wrong with where a request comes from. On a loopback address the name it was sent to
  // has to be a loopback one: a page of the web can give its own name this machine's address
  // ("DNS rebinding"). On other addresses it may be any address and this machine's name as well;
  // with a key, which such a page does not know, it may be anything. Browsers name the page a
  // request comes from: it has to be ours or allowed.
  std::optional<ApiError> CheckSource(const AccessHeaders& headers) const;

  // 401 unless "Bearer KEY", or x-api-key, is right. Takes equally long for all wrong keys. `key`
  // becomes the key's number, from 1 on; 0 if none is needed.
  std::optional<ApiError> CheckKey(const AccessHeaders& headers, uint64_t* key) const;

  // The value of Access-Control-Allow-Origin for this origin; empty: none.
  std::string AllowedOrigin(std::string_view origin) const;

 private:
  bool NameIsRight(std::string_view name) const;
  using Digest = std::array<unsigned char, 32>;
  static Digest Hash(std::string_view key);

  AccessOptions options_;  // its names in lower case
  std::vector<Digest> keys_;
};

// "example.com:8080", "[::1]:8080" -> "example.com", "::1".
std::string_view HostWithoutPort(std::string_view host);

// True for localhost, its subdomains, 127.0.0.0/8 and ::1.
bool IsLoopbackName(std::string_view host);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ACCESS_H_
