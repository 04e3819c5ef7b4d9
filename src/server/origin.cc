#include "server/origin.h"

#include <algorithm>

namespace fastvlm {
namespace {

bool IsSmallLetter(char c) { return c >= 'a' && c <= 'z'; }
bool IsDecimalDigit(char c) { return c >= '0' && c <= '9'; }

bool IsOriginPort(std::string_view port) {
  return !port.empty() && port.size() <= 5 && port.front() != '0' &&
         std::all_of(port.begin(), port.end(), IsDecimalDigit) &&
         (port.size() < 5 || port <= std::string_view("65535"));
}

bool IsOriginHost(std::string_view host) {
  if (host.starts_with('[')) {  // an address of IPv6
    return host.size() > 3 && host.ends_with(']') &&
           std::all_of(host.begin() + 1, host.end() - 1, [](char c) {
             return IsDecimalDigit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
           });
  }
  return !host.empty() && host.front() != '.' && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return IsSmallLetter(c) || IsDecimalDigit(c) || c == '.' || c == '-' || c == '_';
         });
}

}  // namespace

bool IsOrigin(std::string_view text) {
  const size_t separator = text.find("://");
  if (separator == std::string_view::npos || separator == 0) return false;
  const std::string_view scheme = text.substr(0, separator);
  const bool scheme_ok =
      IsSmallLetter(scheme.front()) && std::all_of(scheme.begin(), scheme.end(), [](char c) {
        return IsSmallLetter(c) || IsDecimalDigit(c) || c == '+' || c == '-' || c == '.';
      });
  const std::string_view rest = text.substr(separator + 3);
  const size_t host_end = rest.starts_with('[') ? rest.find(']') : 0;
  const size_t colon = host_end == std::string_view::npos ? host_end : rest.find(':', host_end);
  if (!scheme_ok || !IsOriginHost(rest.substr(0, colon))) return false;
  return colon == std::string_view::npos || IsOriginPort(rest.substr(colon + 1));
}

}  // namespace fastvlm
