#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "grammar/formats.h"
#include "grammar/regex.h"
#include "grammar/schema_writer.h"
#include "text/unicode.h"

namespace fastvlm::grammar {
namespace {

// Strings with a greatest length have at most so many characters, even if it is larger.
constexpr int kMaxCountedLength = 4096;
// The same for strings of a format, each of whose places has states for every length.
constexpr int kMaxFormatLength = 256;
// A greatest length that is too large for a pattern is not made smaller than this.
constexpr int kMinCountedLength = 32;
constexpr size_t kCostOfRetry = size_t{512} << 10;  // in bytes of schema, as Schemas::Spend counts

Expression TextOf(const std::string& name) {
  std::vector<Expression> characters;
  for (const char32_t c : ToCodePoints(name)) characters.push_back(Set({{c, c}}));
  return Sequence(std::move(characters));
}

}  // namespace

Result<Strings> StringsOf(Schemas& schemas, const Place& place,
                          const std::vector<std::string>& except) {
  Strings strings;
  FASTVLM_ASSIGN_OR_RETURN(strings.length,
                           Counts(place, "minLength", "maxLength", kMaxCountedLength));
  // Beside "pattern", a format is only an annotation, as JSON Schema itself has it, and one that is
  // not known always is.
  const Json* pattern = Member(place.schema, "pattern");
  const Json* format = Member(place.schema, "format");
  const char* known =
      pattern == nullptr && format != nullptr ? FormatPattern(format->get<std::string>()) : nullptr;
  if (pattern == nullptr && known == nullptr && except.empty()) return strings;
  // Control characters are left out, as they are where "." matches.
  const std::string regex = pattern != nullptr ? pattern->get<std::string>()
                            : known != nullptr ? known
                                               : "";
  Result<Regex> parsed = ParseRegex(regex);
  if (!parsed.ok()) {
    return SchemaError(place.path, "pattern {} {}", Quoted(regex), parsed.status().message());
  }
  Expression& refused = parsed->refused;
  for (const std::string& name : except) refused.parts.push_back(TextOf(name));
  // Lengths need not be counted where all texts have such a length.
  const TextLengths all = LengthsOf(parsed->allowed);
  int min = strings.length.min, max = strings.length.max;
  if (all.shortest >= min) min = 0;
  if (all.longest <= max) max = kUnlimited;
  if (known != nullptr && max != kUnlimited) max = std::min(max, std::max(min, kMaxFormatLength));
  Result<CharAutomaton> automaton =
      BuildAutomaton(parsed->allowed, min, max, schemas.steps(), refused);
  // Where counting up to the greatest length takes too many states, a smaller one is used.
  while (!automaton.ok() && schemas.steps().status().ok() && max != kUnlimited &&
         max > std::max(min, kMinCountedLength)) {
    FASTVLM_RETURN_IF_ERROR(schemas.Spend(place.path, kCostOfRetry));
    max = std::max({max / 4, min, kMinCountedLength});
    automaton = BuildAutomaton(parsed->allowed, min, max, schemas.steps(), refused);
  }
  FASTVLM_RETURN_IF_ERROR(schemas.CheckSteps(place.path));
  if (!automaton.ok()) {
    return SchemaError(place.path, "pattern {}: {}", Quoted(regex), automaton.status().message());
  }
  strings.automaton = std::move(automaton).value();
  return strings;
}

}  // namespace fastvlm::grammar
