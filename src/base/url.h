// Which URLs are fetched at all.
#ifndef FASTVLM_BASE_URL_H_
#define FASTVLM_BASE_URL_H_

#include <string_view>

#include "base/status.h"

namespace fastvlm {

// kInvalidArgument, in words that tell no password, unless the URL is one of http or https, has no
// user name or password, and none of the characters that no URL has: blanks, control characters
// (NUL too) and what is not ASCII.
Status CheckUrl(std::string_view url);

}  // namespace fastvlm

#endif  // FASTVLM_BASE_URL_H_
