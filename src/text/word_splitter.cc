#include "text/word_splitter.h"

#include "text/unicode.h"

namespace fastvlm {
namespace {

bool IsSpaceClass(CharClass c) { return c == CharClass::kSpace || c == CharClass::kNewline; }

// The character in lower case as far as contractions are concerned.
char32_t FoldContraction(char32_t c) {
  if (c >= 'A' && c <= 'Z') return c - 'A' + 'a';
  return c == 0x17F ? U's' : c;  // the only other character whose simple case fold is in a-z here
}

// Length of (?i:'s|'t|'re|'ve|'m|'ll|'d) at `start`, 0 if there is none.
size_t ContractionLength(std::u32string_view text, size_t start) {
  if (text[start] != '\'' || start + 1 >= text.size()) return 0;
  const char32_t first = FoldContraction(text[start + 1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (start + 2 >= text.size()) return 0;
  const char32_t second = FoldContraction(text[start + 2]);
  const bool matches = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                       (first == 'l' && second == 'l');
  return matches ? 3 : 0;
}

template <typename Predicate>
size_t EndOfRun(std::u32string_view text, size_t start, Predicate in_run) {
  while (start < text.size() && in_run(ClassOf(text[start]))) ++start;
  return start;
}

size_t EndOfLetters(std::u32string_view text, size_t start) {
  return EndOfRun(text, start, [](CharClass c) { return c == CharClass::kLetter; });
}

// [^\s\p{L}\p{N}]+[\r\n]*; `start` itself if there is none.
size_t EndOfSymbols(std::u32string_view text, size_t start) {
  const size_t end = EndOfRun(text, start, [](CharClass c) { return c == CharClass::kOther; });
  if (end == start) return start;
  return EndOfRun(text, end, [](CharClass c) { return c == CharClass::kNewline; });
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at a white space character.
size_t EndOfSpaces(std::u32string_view text, size_t start) {
  const size_t end = EndOfRun(text, start, IsSpaceClass);
  for (size_t last = end; last > start; --last) {
    if (ClassOf(text[last - 1]) == CharClass::kNewline) return last;
  }
  // The last space before a word is left to that word.
  return end == text.size() || end - start == 1 ? end : end - 1;
}

}  // namespace

size_t WordEnd(std::u32string_view text, size_t start) {
  const size_t contraction = ContractionLength(text, start);
  if (contraction > 0) return start + contraction;

  const CharClass first = ClassOf(text[start]);
  if (first == CharClass::kLetter) return EndOfLetters(text, start);
  if (first == CharClass::kNumber) return start + 1;
  if (first != CharClass::kNewline) {
    const size_t letters_end = EndOfLetters(text, start + 1);
    if (letters_end > start + 1) return letters_end;
  }
  if (first == CharClass::kOther) return EndOfSymbols(text, start);
  if (text[start] == ' ') {
    const size_t symbols_end = EndOfSymbols(text, start + 1);
    if (symbols_end > start + 1) return symbols_end;
  }
  return EndOfSpaces(text, start);
}

}  // namespace fastvlm
