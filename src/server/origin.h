// Origins of web pages, as browsers write them.
#ifndef FASTVLM_SERVER_ORIGIN_H_
#define FASTVLM_SERVER_ORIGIN_H_

#include <string_view>

namespace fastvlm {

// Whether `text` is an origin in the one form that browsers send: scheme, host and, unless it is
// the scheme's own, port, in lower case and without a path: "https://app.example",
// "http://localhost:3000", "chrome-extension://abc". Anything else would never match.
bool IsOrigin(std::string_view text);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ORIGIN_H_
