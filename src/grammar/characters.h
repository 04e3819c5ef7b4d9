// Regular languages over Unicode characters, and automata for them.
#ifndef FASTVLM_GRAMMAR_CHARACTERS_H_
#define FASTVLM_GRAMMAR_CHARACTERS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "grammar/steps.h"

namespace fastvlm::grammar {

struct CharRange {
  char32_t low, high;  // both included
};
// Ranges that are sorted and disjoint and hold no surrogates.
using CharSet = std::vector<CharRange>;

inline constexpr char32_t kLastCharacter = 0x10FFFF;

// The same characters as a CharSet should be: sorted, joined, and without surrogates.
CharSet Normalized(CharSet set);
// All characters that are not in `set`, which is normalized.
CharSet Complement(const CharSet& set);

// A regular expression as a tree.
struct Expression {
  enum class Kind { kSet, kSequence, kChoice, kRepeat };
  Kind kind = Kind::kSequence;  // an empty sequence is the empty text
  CharSet set;
  std::vector<Expression> parts;  // a repetition has one
  int min = 0, max = 0;           // of a repetition; kUnlimited for no end
};

Expression Set(CharSet set);
Expression Text(std::string_view ascii);
Expression Sequence(std::vector<Expression> parts);
Expression Choice(std::vector<Expression> parts);  // of none: no text at all
Expression Repeat(Expression part, int min, int max);
Expression Optional(Expression part);

// A deterministic automaton that begins in state 0. An accepting state can be reached from every
// state. One without states accepts nothing.
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

// An automaton for those texts of `expression` that have min_length to max_length characters and
// are no texts of `refused`. kInvalidArgument if it would be too large, or if `steps` are used up;
// kCancelled if they are stopped.
Result<CharAutomaton> BuildAutomaton(const Expression& expression, int min_length, int max_length,
                                     Steps& steps, const Expression& refused = Choice({}));

// The lengths of the shortest and the longest text of `expression`, in characters; kUnlimited where
// there is no longest one. `expression` holds no choice of none.
struct TextLengths {
  int shortest, longest;
};
TextLengths LengthsOf(const Expression& expression);

// Whether the automaton accepts this text.
bool Accepts(const CharAutomaton& automaton, const std::u32string& text);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_CHARACTERS_H_
