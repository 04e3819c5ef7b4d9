#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

namespace fastvlm {
namespace {

// The first byte of a character says how many bytes it has and in which range the second one is
// (Unicode 15, table 3-7). length 0: no character begins with this byte.
struct LeadByte {
  uint8_t length;
  uint8_t second_min;
  uint8_t second_max;
};

LeadByte ReadLeadByte(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // up to U+10FFFF
  return {0, 0, 0};
}

// Letters and numbers that Unicode 15.1 and 16 added. The reference splitter knows them, the
// utf8proc of current distributions (Unicode 15) does not.
struct Range {
  char32_t first;
  char32_t last;
};
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                 {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                 {0x1E5F1, 0x1E5FA}};

template <size_t kSize>
bool Contains(const Range (&ranges)[kSize], char32_t code_point) {
  return std::any_of(std::begin(ranges), std::end(ranges), [&](const Range& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

bool IsWhiteSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

CharClass ClassByCategory(char32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_CN:  // unassigned, or newer than utf8proc
      if (Contains(kNewLetters, code_point)) return CharClass::kLetter;
      if (Contains(kNewNumbers, code_point)) return CharClass::kNumber;
      return CharClass::kOther;
    default:
      return CharClass::kOther;
  }
}

// Normalisation changes no text in which all characters are below this one.
constexpr char32_t kFirstCombining = 0x300;

bool IsTriviallyNfc(std::string_view text) {
  // Lead bytes below 0xCC are characters below U+0300.
  return std::none_of(text.begin(), text.end(),
                      [](char byte) { return static_cast<uint8_t>(byte) >= 0xCC; });
}
static_assert(kFirstCombining == (0xCC & 0x1F) << 6);

using CombiningCharacter = std::pair<utf8proc_propval_t, utf8proc_int32_t>;

// Orders the run of combining marks collected so far and moves it to `text`. utf8proc's own
// ordering is quadratic in the length of the run, which a hostile text chooses.
void FlushMarks(std::vector<CombiningCharacter>* marks, std::vector<utf8proc_int32_t>* text) {
  std::stable_sort(marks->begin(), marks->end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& mark : *marks) text->push_back(mark.second);
  marks->clear();
}

// Canonical decomposition in canonical order.
std::vector<utf8proc_int32_t> Decompose(std::string_view text) {
  constexpr int kMaxDecomposition = 16;  // the longest canonical one has 4 code points
  std::vector<utf8proc_int32_t> result;
  result.reserve(text.size());
  std::vector<CombiningCharacter> marks;
  for (const char32_t code_point : ToCodePoints(text)) {
    utf8proc_int32_t parts[kMaxDecomposition];
    int boundary_class = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts, kMaxDecomposition,
                                UTF8PROC_DECOMPOSE, &boundary_class);
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      const utf8proc_propval_t combining_class = utf8proc_get_property(parts[i])->combining_class;
      if (combining_class != 0) {
        marks.emplace_back(combining_class, parts[i]);
        continue;
      }
      FlushMarks(&marks, &result);
      result.push_back(parts[i]);
    }
  }
  FlushMarks(&marks, &result);
  return result;
}

// A Hangul vowel that composes with nothing. utf8proc 2.8 takes it for a final consonant and drops
// it after a syllable, so it is kept out of composition.
constexpr utf8proc_int32_t kHangulFinalBase = 0x11A7;

// Composes in place and appends the result.
void AppendComposed(std::span<utf8proc_int32_t> code_points, std::string* text) {
  const utf8proc_ssize_t size = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    AppendUtf8(static_cast<char32_t>(code_points[static_cast<size_t>(i)]), text);
  }
}

}  // namespace

Utf8Character FirstCharacter(std::string_view text) {
  const auto byte_at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const LeadByte lead = ReadLeadByte(byte_at(0));
  if (lead.length == 0) return {Utf8Kind::kInvalid, 0, 1};
  if (lead.length == 1) return {Utf8Kind::kValid, byte_at(0), 1};
  char32_t code_point = byte_at(0) & (0x7Fu >> lead.length);
  for (uint8_t i = 1; i < lead.length; ++i) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, 0, i};
    const uint8_t min = i == 1 ? lead.second_min : uint8_t{0x80};
    const uint8_t max = i == 1 ? lead.second_max : uint8_t{0xBF};
    if (byte_at(i) < min || byte_at(i) > max) return {Utf8Kind::kInvalid, 0, i};
    code_point = code_point << 6 | (byte_at(i) & 0x3Fu);
  }
  return {Utf8Kind::kValid, code_point, lead.length};
}

void AppendUtf8(char32_t code_point, std::string* text) {
  const auto trail = [&](int shift) {
    return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
  };
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    text->append({static_cast<char>(0xC0 | (code_point >> 6)), trail(0)});
  } else if (code_point < 0x10000) {
    text->append({static_cast<char>(0xE0 | (code_point >> 12)), trail(6), trail(0)});
  } else {
    text->append({static_cast<char>(0xF0 | (code_point >> 18)), trail(12), trail(6), trail(0)});
  }
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character character = FirstCharacter(text);
    if (character.kind != Utf8Kind::kValid) return false;
    text.remove_prefix(character.length);
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string result;
  Utf8Assembler assembler;
  assembler.Append(text, &result);
  assembler.Finish(&result);
  return result;
}

std::u32string ToCodePoints(std::string_view text) {
  std::u32string code_points;
  code_points.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = FirstCharacter(text);
    code_points.push_back(character.code_point);
    text.remove_prefix(character.length);
  }
  return code_points;
}

std::string NormalizeNfc(std::string_view text) {
  if (IsTriviallyNfc(text)) return std::string(text);
  std::vector<utf8proc_int32_t> code_points = Decompose(text);
  std::string result;
  result.reserve(text.size());
  for (auto start = code_points.begin(); start != code_points.end();) {
    const auto end = std::find(start, code_points.end(), kHangulFinalBase);
    AppendComposed({start, end}, &result);
    start = end;
    for (; start != code_points.end() && *start == kHangulFinalBase; ++start) {
      AppendUtf8(kHangulFinalBase, &result);
    }
  }
  return result;
}

CharClass ClassOf(char32_t code_point) {
  if ((code_point >= 'a' && code_point <= 'z') || (code_point >= 'A' && code_point <= 'Z')) {
    return CharClass::kLetter;
  }
  if (code_point == '\r' || code_point == '\n') return CharClass::kNewline;
  if (IsWhiteSpace(code_point)) return CharClass::kSpace;
  return ClassByCategory(code_point);
}

void Utf8Assembler::Append(std::string_view bytes, std::string* text) {
  for (const char byte : bytes) {
    pending_[pending_size_++] = byte;
    EmitCompleted(text);
  }
}

void Utf8Assembler::EmitCompleted(std::string* text) {
  while (pending_size_ > 0) {
    const Utf8Character character = FirstCharacter({pending_.data(), pending_size_});
    if (character.kind == Utf8Kind::kIncomplete) return;
    if (character.kind == Utf8Kind::kValid) {
      text->append(pending_.data(), character.length);
    } else {
      AppendUtf8(kReplacementCharacter, text);
    }
    std::copy(pending_.begin() + character.length, pending_.begin() + pending_size_,
              pending_.begin());
    pending_size_ = static_cast<uint8_t>(pending_size_ - character.length);
  }
}

void Utf8Assembler::Finish(std::string* text) {
  if (pending_size_ > 0) AppendUtf8(kReplacementCharacter, text);
  pending_size_ = 0;
}

}  // namespace fastvlm
