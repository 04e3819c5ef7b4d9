// The values of the keyword "format" that are guaranteed.
#ifndef FASTVLM_GRAMMAR_FORMATS_H_
#define FASTVLM_GRAMMAR_FORMATS_H_

#include <string_view>

namespace fastvlm::grammar {

// A pattern for the format, or nullptr if the format is only an annotation here. All texts of the
// pattern are of the format, but not the other way round. Sources: RFC 3339 for dates, times and
// durations, RFC 9562 for uuid, RFC 3986 for uri.
const char* FormatPattern(std::string_view name);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_FORMATS_H_
