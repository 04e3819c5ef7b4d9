// The alphabet in which byte-level vocabularies spell their tokens: every byte is one printable
// character. Printable Latin-1 bytes stand for themselves, the other 68 are U+0100 onwards in
// order, so that a space reads U+0120. Source: bytes_to_unicode of OpenAI's GPT-2 encoder.
#ifndef FASTVLM_TEXT_BYTE_ALPHABET_H_
#define FASTVLM_TEXT_BYTE_ALPHABET_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace fastvlm {

// UTF-8 of the character that stands for `byte`.
std::string SpellByte(uint8_t byte);

// The bytes that `spelling`, valid UTF-8, stands for. A spelling with a character outside the
// alphabet stands for itself, as in HF tokenizers' ByteLevel decoder.
std::string SpellingToBytes(std::string_view spelling);

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_BYTE_ALPHABET_H_
