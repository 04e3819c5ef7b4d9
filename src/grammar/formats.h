// The values of "format" that are written as they should be.
#ifndef FASTVLM_GRAMMAR_FORMATS_H_
#define FASTVLM_GRAMMAR_FORMATS_H_

#include <string>
#include <string_view>

namespace fastvlm::grammar {

// A pattern all of whose texts are of the format (not every text of the format is one of them), or
// nullptr if it is unknown. Sources: RFC 3339 for dates and times, RFC 9562 for uuid.
const char* FormatPattern(std::string_view name);

// "date, time, ..."
std::string FormatNames();

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_FORMATS_H_
