// Untrusted text in messages.
#ifndef FASTVLM_BASE_PRINTABLE_H_
#define FASTVLM_BASE_PRINTABLE_H_

#include <string>
#include <string_view>

namespace fastvlm {

// Untrusted text as a message shows it: on one line, cut if it is long. Control characters (C0, DEL
// and C1), those that change the direction of writing, and bytes that are no UTF-8 become '?'.
std::string Printable(std::string_view text);
std::string Quoted(std::string_view text);  // the same between quotation marks

// The same replacements for text of any length on its way to a terminal. Line feeds and tabs stay.
std::string TerminalText(std::string_view text);

// A JSON text that says the same without DEL and C1 characters: they are escaped, as C0 has to be.
std::string TerminalJson(std::string_view json);

}  // namespace fastvlm

#endif  // FASTVLM_BASE_PRINTABLE_H_
