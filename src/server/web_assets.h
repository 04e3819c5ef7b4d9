// The page's files, embedded in the program when it is built (cmake/embed_assets.cmake).
#ifndef FASTVLM_SERVER_WEB_ASSETS_H_
#define FASTVLM_SERVER_WEB_ASSETS_H_

#include <span>
#include <string_view>

namespace fastvlm {

// What every answer with a page file carries as Content-Security-Policy: nothing from elsewhere,
// and no scripts or styles inside the markup. Pictures are shown from memory (blob:, data:).
inline constexpr std::string_view kWebContentSecurityPolicy =
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct WebAsset {
  std::string_view path;          // as in a request: "/style.css"; index.html is "/"
  std::string_view content_type;  // with its charset
  std::string_view etag;          // of the bytes, in quotes as the header wants it
  std::string_view bytes;
};

// All of them, each path once. They live as long as the program.
std::span<const WebAsset> WebAssets();

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_WEB_ASSETS_H_
