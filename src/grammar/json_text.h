// The parts of JSON texts as parts of a network. Every function adds what leads from one state,
// `from`, to another, `to`.
#ifndef FASTVLM_GRAMMAR_JSON_TEXT_H_
#define FASTVLM_GRAMMAR_JSON_TEXT_H_

#include <string>
#include <vector>

#include "grammar/characters.h"
#include "grammar/network.h"

namespace fastvlm::grammar {

class JsonText {
 public:
  explicit JsonText(Network& network);

  // A string of min to max characters, with or without escapes. max may be kUnlimited.
  void AddString(StateId from, int min, int max, StateId to);
  // A string whose characters `automaton` accepts. Only characters that must be escaped are, so
  // that each has one spelling.
  void AddString(StateId from, const CharAutomaton& automaton, StateId to);
  // A string without escapes that differs from all `names`.
  void AddOtherKey(StateId from, const std::vector<std::string>& names, StateId to);
  // A text that `automaton` accepts, without quotes; it must be ASCII.
  void AddBare(StateId from, const CharAutomaton& automaton, StateId to);
  // A comma or colon, and then at most one space. There is no other white space in an answer.
  StateId AddSeparator(StateId from, char separator);

  // A sub-network for any JSON value, and for any object or array.
  StateId AnyValue();
  StateId AnyObject();
  StateId AnyArray();

 private:
  StateId LongCharacter();
  void AddHexDigits(StateId from, int count, StateId to);
  void AddSurrogates(StateId from, StateId to);
  void AddCharacters(StateId from, const CharRange& range, StateId to);
  void AddUtf8(StateId from, char32_t low, char32_t high, StateId to);

  Network& network_;
  StateId long_character_ = -1;
  StateId any_value_ = -1, any_object_ = -1, any_array_ = -1;
};

// `text` as a JSON string, with the quotes.
std::string QuotedJson(const std::string& text);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_JSON_TEXT_H_
