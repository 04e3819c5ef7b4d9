// Who may use the server: keys, and which web pages.
#ifndef FASTVLM_SERVER_ACCESS_H_
#define FASTVLM_SERVER_ACCESS_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace fastvlm {

struct AccessOptions {
  std::vector<std::string> api_keys;       // any of them; none: everybody
  std::vector<std::string> cors_origins;   // "https://app.example"; "*": every web page
  std::vector<std::string> allowed_hosts;  // names, beside loopback ones, that a server on a
                                           // loopback address may be called by
  bool loopback = true;                    // the server listens on a loopback address
};

// The headers that decide; empty if absent.
struct AccessHeaders {
  std::string_view authorization;
  std::string_view host;
  std::string_view origin;
};

class Access {
 public:
  explicit Access(const AccessOptions& options);

  // What is wrong with where a request comes from. On a loopback address the name it was sent to
  // has to be a loopback one: a page of the web can give its own name this machine's address
  // ("DNS rebinding"). Browsers name the page a request comes from: it has to be ours or allowed.
  std::optional<ApiError> CheckSource(const AccessHeaders& headers) const;

  // 401 unless "Bearer KEY" is right. Takes equally long for all wrong keys.
  std::optional<ApiError> CheckKey(std::string_view authorization) const;

  // The value of Access-Control-Allow-Origin for this origin; empty: none.
  std::string AllowedOrigin(std::string_view origin) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest Hash(std::string_view key);

  const AccessOptions options_;
  std::vector<Digest> keys_;
};

// "example.com:8080", "[::1]:8080" -> "example.com", "::1".
std::string_view HostWithoutPort(std::string_view host);

// True for localhost, its subdomains, 127.0.0.0/8 and ::1.
bool IsLoopbackName(std::string_view host);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ACCESS_H_
