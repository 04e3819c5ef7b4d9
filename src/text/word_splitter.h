// The split rule of Qwen2: cuts text into the words byte-pair merging never crosses.
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*
//   |\s*[\r\n]+|\s+(?!\S)|\s+
// Alternatives are tried in this order, each as long as it can be. Together they cover every
// character, so the words joined are the text. \s is Unicode's White_Space (with U+0085, U+00A0,
// U+2028), and U+017F, the long s, counts as an s in (?i:'s): both as HF tokenizers has it.
#ifndef FASTVLM_TEXT_WORD_SPLITTER_H_
#define FASTVLM_TEXT_WORD_SPLITTER_H_

#include <cstddef>
#include <string_view>

namespace fastvlm {

inline constexpr std::string_view kQwen2SplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// End of the word that starts at `start` < text.size(). Linear in the length of the word, except
// that a run of white space is read once more for each word it is cut into, at most three.
size_t WordEnd(std::u32string_view text, size_t start);

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_WORD_SPLITTER_H_
