// The part of ECMA-262's regular expressions that JSON schemas' "pattern" may use here.
#ifndef FASTVLM_GRAMMAR_REGEX_H_
#define FASTVLM_GRAMMAR_REGEX_H_

#include <string_view>

#include "base/status.h"
#include "grammar/characters.h"

namespace fastvlm::grammar {

// The texts in which `pattern` is found, as "pattern" has it: "^" and "$" tie it to the ends.
//   literals  .  [a-z]  [^a-z]  \d \D \w \W \s \S  \t \n \r \f \v \0  \xHH  \uHHHH  \.
//   (...)  (?:...)  a|b  * + ? {n} {n,} {n,m} and their lazy forms
//   ^ and $ at the ends of the pattern or of its outermost alternatives
// "\s" stands for white space in ASCII.
// kInvalidArgument for anything else, with the place. What pads a pattern that is not tied, "." and
// negated classes stand for no control characters, which is less than ECMA-262 allows.
Result<Expression> ParseRegex(std::string_view pattern);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_REGEX_H_
