#include "base/printable.h"

#include <cstddef>
#include <cstdint>

namespace fastvlm {
namespace {

constexpr size_t kMaxShown = 200;  // bytes of file contents in a message

// One character of UTF-8 at the beginning of a text.
struct Character {
  uint32_t code;
  size_t bytes;  // 0 if the text begins with no whole character
};

Character FirstCharacter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {0, 0};
  uint32_t code = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (too_long || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {0, 0};
  return {code, bytes};
}

// Characters that a terminal obeys, and those that make a text look like another one: they change
// the direction of writing or end the line.
bool Steers(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0x2028 || code == 0x2029;
}

std::string Replaced(std::string_view text, bool keep_lines) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const Character c = FirstCharacter(text);
    const bool line = keep_lines && (c.code == '\n' || c.code == '\t');
    if (c.bytes == 0 || (Steers(c.code) && !line)) {
      shown += '?';
    } else {
      shown += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes == 0 ? 1 : c.bytes);
  }
  return shown;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string_view beginning = text.substr(0, kMaxShown);
  if (text.size() == beginning.size()) return Replaced(text, false);
  // Do not cut inside a UTF-8 character.
  while (!beginning.empty() && (text[beginning.size()] & 0xc0) == 0x80) beginning.remove_suffix(1);
  return Replaced(beginning, false) + "...";
}

std::string Quoted(std::string_view text) { return '"' + Printable(text) + '"'; }

std::string TerminalText(std::string_view text) { return Replaced(text, true); }

std::string TerminalJson(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(json[i]);
    const unsigned char next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0;
    if (c == 0x7f) {
      escaped += "\\u007f";
    } else if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
      constexpr char kDigits[] = "0123456789abcdef";
      escaped += "\\u00";
      escaped += kDigits[next >> 4];
      escaped += kDigits[next & 15];
      ++i;
    } else {
      escaped += json[i];
    }
  }
  return escaped;
}

}  // namespace fastvlm
