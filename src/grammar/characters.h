// Regular languages over Unicode characters, and automata for them.
#ifndef FASTVLM_GRAMMAR_CHARACTERS_H_
#define FASTVLM_GRAMMAR_CHARACTERS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm::grammar {

struct CharRange {
  char32_t low, high;  // both included
};
// Sorted, disjoint, without surrogates.
using CharSet = std::vector<CharRange>;

inline constexpr char32_t kLastCharacter = 0x10FFFF;

// `set` sorted and joined, surrogates left out.
CharSet Normalized(CharSet set);
// What is not in `set`, which is normalized.
CharSet Complement(const CharSet& set);

// A regular expression as a tree.
struct Expression {
  enum class Kind { kSet, kSequence, kChoice, kRepeat };
  Kind kind = Kind::kSequence;  // an empty sequence is the empty text
  CharSet set;
  std::vector<Expression> parts;  // of a repetition: one
  int min = 0, max = 0;           // of a repetition; kUnlimited for no end
};

Expression Set(CharSet set);
Expression Text(std::string_view ascii);
Expression Sequence(std::vector<Expression> parts);
Expression Choice(std::vector<Expression> parts);  // of none: no text at all
Expression Repeat(Expression part, int min, int max);
Expression Optional(Expression part);

// A deterministic automaton; state 0 is the start. From every state an accepting one can be
// reached; without states it accepts nothing.
struct CharAutomaton {
  struct Edge {
    CharRange range;
    int target;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepting = false;
  };
  std::vector<State> states;
};

// The texts of `expression` with min_length to max_length characters. kInvalidArgument if the
// automaton would be too large.
Result<CharAutomaton> BuildAutomaton(const Expression& expression, int min_length, int max_length);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_CHARACTERS_H_
