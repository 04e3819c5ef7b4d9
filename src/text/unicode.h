// UTF-8, Unicode normalisation form C and the character classes of the word splitter.
#ifndef FASTVLM_TEXT_UNICODE_H_
#define FASTVLM_TEXT_UNICODE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fastvlm {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

enum class Utf8Kind {
  kValid,
  kInvalid,     // an ill-formed sequence
  kIncomplete,  // well formed so far, but the text ends inside the character
};

// One character at the start of a text. For kInvalid and kIncomplete, `length` covers the longest
// prefix of a well-formed character, at least one byte: what one U+FFFD stands for (Unicode 15,
// section 3.9, "maximal subpart"), the rule of Rust's from_utf8_lossy, which HF decodes with.
struct Utf8Character {
  Utf8Kind kind;
  char32_t code_point;  // only for kValid
  uint8_t length;       // bytes, 1 to 4
};

// text must not be empty.
Utf8Character FirstCharacter(std::string_view text);

// Bytes of a Unicode scalar value in UTF-8.
constexpr size_t Utf8Length(char32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

// code_point must be a Unicode scalar value.
void AppendUtf8(char32_t code_point, std::string* text);

bool IsValidUtf8(std::string_view text);

// `text` with every ill-formed sequence replaced by U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// Code points of valid UTF-8.
std::u32string ToCodePoints(std::string_view text);

// Normalisation form C of valid UTF-8, by utf8proc's Unicode version. O(n log n), also for long
// runs of combining marks.
std::string NormalizeNfc(std::string_view text);

enum class CharClass : uint8_t {
  kLetter,   // \p{L}
  kNumber,   // \p{N}
  kNewline,  // \r \n
  kSpace,    // \s without \r \n; \s is Unicode's White_Space
  kOther,
};
CharClass ClassOf(char32_t code_point);

// Joins bytes that arrive in pieces into valid UTF-8, never giving out half a character.
class Utf8Assembler {
 public:
  // Appends to *text what `bytes` completes; ill-formed sequences become U+FFFD.
  void Append(std::string_view bytes, std::string* text);
  // Ends the text: a character still incomplete becomes one U+FFFD. Ready for another text.
  void Finish(std::string* text);

 private:
  void EmitCompleted(std::string* text);

  std::array<char, 4> pending_;
  uint8_t pending_size_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_UNICODE_H_
