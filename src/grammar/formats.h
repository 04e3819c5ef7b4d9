// The values of the keyword "format" that are supported.
#ifndef FASTVLM_GRAMMAR_FORMATS_H_
#define FASTVLM_GRAMMAR_FORMATS_H_

#include <string>
#include <string_view>

namespace fastvlm::grammar {

// A pattern for the format, or nullptr if the format is not supported. All texts of the pattern are
// of the format, but not the other way round. Sources: RFC 3339 for dates and times, RFC 9562 for
// uuid.
const char* FormatPattern(std::string_view name);

// "date, time, ..."
std::string FormatNames();

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_FORMATS_H_
