// Untrusted text in messages.
#ifndef FASTVLM_BASE_PRINTABLE_H_
#define FASTVLM_BASE_PRINTABLE_H_

#include <string>
#include <string_view>

namespace fastvlm {

// Untrusted text as a message shows it: control characters replaced, cut if it is long.
std::string Printable(std::string_view text);
std::string Quoted(std::string_view text);  // the same between quotation marks

}  // namespace fastvlm

#endif  // FASTVLM_BASE_PRINTABLE_H_
