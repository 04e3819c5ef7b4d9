// Base64 (RFC 4648, section 4) as it comes in data URIs.
#ifndef FASTVLM_SERVER_BASE64_H_
#define FASTVLM_SERVER_BASE64_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace fastvlm {

// The bytes of `text`, or nullopt if it is not base64. Line breaks and spaces are passed over; the
// '=' at the end may be missing; '-' and '_' of the URL alphabet count as '+' and '/'.
std::optional<std::vector<uint8_t>> DecodeBase64(std::string_view text);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_BASE64_H_
