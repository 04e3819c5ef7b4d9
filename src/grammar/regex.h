// The part of ECMA-262's regular expressions that JSON schemas' "pattern" may use here.
#ifndef FASTVLM_GRAMMAR_REGEX_H_
#define FASTVLM_GRAMMAR_REGEX_H_

#include <string_view>

#include "base/status.h"
#include "grammar/characters.h"

namespace fastvlm::grammar {

struct Regex {
  Expression allowed;
  Expression refused;  // texts of `allowed` that are none after all, because of "(?!...)"
};

// The texts in which `pattern` occurs. As in JSON schemas, it may occur anywhere, unless "^" ties
// it to the beginning of the text or "$" to its end. Supported are
//   literals  .  [a-z]  [^a-z]  \d \D \w \W \s \S  \t \n \r \f \v \0  \xHH  \uHHHH  \.
//   (...)  (?:...)  a|b  * + ? {n} {n,} {n,m} and their lazy forms
//   ^ and $ at the ends of the pattern or of its outermost alternatives
//   ^(?!...) at the beginning of a pattern of one alternative, also several times
// and anything else is kInvalidArgument, with the place in the pattern. The language is narrower
// than that of ECMA-262 in two ways. "\s" is white space in ASCII only. Control characters come
// neither from "." and negated classes nor in the text before and after a pattern that is not tied.
Result<Regex> ParseRegex(std::string_view pattern);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_REGEX_H_
