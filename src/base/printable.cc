#include "base/printable.h"

#include <cstddef>

namespace fastvlm {
namespace {

constexpr size_t kMaxShown = 200;  // bytes of file contents in a message

}  // namespace

std::string Printable(std::string_view text) {
  std::string shown(text.substr(0, kMaxShown));
  // Do not cut inside a UTF-8 character.
  if (text.size() > kMaxShown) {
    while (!shown.empty() && (text[shown.size()] & 0xc0) == 0x80) shown.pop_back();
    shown += "...";
  }
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return shown;
}

std::string Quoted(std::string_view text) { return '"' + Printable(text) + '"'; }

}  // namespace fastvlm
