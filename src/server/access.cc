#include "server/access.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/printable.h"

namespace fastvlm {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsAddress(const std::string& name) {
  in6_addr address{};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

// "box", "box.local" and "box.lan" are names of the machine "box.lan".
bool NamesMachine(std::string_view name, std::string_view machine) {
  if (machine.empty()) return false;
  const std::string first(machine.substr(0, machine.find('.')));
  return name == machine || name == first || name == first + ".local";
}

bool Contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

std::string_view HostWithoutPort(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool IsLoopbackName(std::string_view host) {
  std::string name = Lower(host);
  if (name.ends_with('.')) name.pop_back();
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, name.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Access::Access(const AccessOptions& options) : options_(options) {
  for (std::string& name : options_.allowed_hosts) name = Lower(name);
  options_.machine_name = Lower(options_.machine_name);
  for (const std::string& key : options_.api_keys) keys_.push_back(Hash(key));
}

Access::Digest Access::Hash(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

std::optional<ApiError> Access::CheckSource(const AccessHeaders& headers) const {
  const std::string_view name = HostWithoutPort(headers.host);
  if (!headers.host.empty() && !NameIsRight(name)) {
    return Forbidden(
        fmt::format("This server is not to be called {}; allow the name with "
                    "--allow-host.",
                    Quoted(name)));
  }
  if (headers.origin.empty() || !AllowedOrigin(headers.origin).empty()) return std::nullopt;
  const size_t scheme = headers.origin.find("://");
  if (scheme != std::string_view::npos &&
      Lower(headers.origin.substr(scheme + 3)) == Lower(headers.host)) {
    return std::nullopt;  // our own page
  }
  return Forbidden(fmt::format("Pages of {} may not use this server; allow them with --cors.",
                               Quoted(headers.origin)));
}

bool Access::NameIsRight(std::string_view host) const {
  std::string name = Lower(host);
  if (name.ends_with('.')) name.pop_back();
  if (IsLoopbackName(name) || Contains(options_.allowed_hosts, name)) return true;
  if (options_.loopback) return false;
  return !keys_.empty() || IsAddress(name) || NamesMachine(name, options_.machine_name);
}

std::optional<ApiError> Access::CheckKey(const AccessHeaders& headers, uint64_t* key) const {
  *key = 0;
  if (keys_.empty()) return std::nullopt;
  constexpr std::string_view kScheme = "bearer ";
  std::string_view text = headers.x_api_key;
  if (Lower(headers.authorization.substr(0, kScheme.size())) == kScheme) {
    text = headers.authorization.substr(kScheme.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
  } else if (text.empty()) {
    return Unauthorized(false);
  }
  const Digest given = Hash(text);
  for (size_t i = 0; i < keys_.size(); ++i) {  // all, so that the time tells nothing about them
    if (CRYPTO_memcmp(keys_[i].data(), given.data(), given.size()) == 0) *key = i + 1;
  }
  if (*key != 0) return std::nullopt;
  return Unauthorized(true);
}

std::string Access::AllowedOrigin(std::string_view origin) const {
  if (origin.empty()) return {};
  if (Contains(options_.cors_origins, "*")) return "*";
  return Contains(options_.cors_origins, origin) ? std::string(origin) : std::string();
}

}  // namespace fastvlm
