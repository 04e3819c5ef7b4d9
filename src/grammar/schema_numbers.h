// The numbers that a schema allows, by its "minimum", "maximum" and their exclusive forms.
#ifndef FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_
#define FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_

#include <optional>

#include "base/status.h"
#include "grammar/characters.h"
#include "grammar/schema.h"

namespace fastvlm::grammar {

// Nothing if no integer lies within the bounds.
Result<std::optional<Expression>> IntegersOf(const Place& place);

Result<Expression> NumbersOf(const Place& place);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_NUMBERS_H_
