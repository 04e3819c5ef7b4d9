#include "base/url.h"

#include <algorithm>

#include "base/printable.h"

namespace fastvlm {

Status CheckUrl(std::string_view url) {
  const size_t scheme = url.find("://");
  if (!url.starts_with("https://") && !url.starts_with("http://")) {
    // What has no scheme may still have a password in it.
    const bool secret = url.find('@') != std::string_view::npos;
    return Error(StatusCode::kInvalidArgument,
                 "{}: expected a URL that begins with https:// or http://, such as "
                 "https://huggingface.co",
                 secret ? "a text with '@' in it" : Quoted(url));
  }
  // Some programs end the host at a backslash as well; a '@' anywhere before the path counts.
  const std::string_view rest = url.substr(scheme + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    return Error(
        StatusCode::kInvalidArgument,
        "a URL of {} has a user name or password before the '@': it would show in messages "
        "and lists; leave it out",
        Quoted(authority.substr(at + 1)));
  }
  const auto strange =
      std::find_if(url.begin(), url.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; });
  if (strange == url.end()) return {};
  return Error(StatusCode::kInvalidArgument,
               "{} has characters that no URL has: byte 0x{:02x} at {}; write it as %{:02X}",
               Quoted(url), static_cast<unsigned char>(*strange), strange - url.begin(),
               static_cast<unsigned char>(*strange));
}

}  // namespace fastvlm
