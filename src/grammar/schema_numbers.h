// The numbers that a schema allows, by its "minimum", "maximum", their exclusive forms and
// "multipleOf".
#ifndef FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_
#define FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_

#include "base/status.h"
#include "grammar/characters.h"
#include "grammar/schema.h"

namespace fastvlm::grammar {

// An automaton without states if no integer lies within the bounds.
Result<CharAutomaton> IntegersOf(Schemas& schemas, const Place& place);

Result<CharAutomaton> NumbersOf(Schemas& schemas, const Place& place);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_
