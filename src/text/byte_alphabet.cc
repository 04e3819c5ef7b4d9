#include "text/byte_alphabet.h"

#include <array>

#include "text/unicode.h"

namespace fastvlm {
namespace {

constexpr int kAlphabetEnd = 0x100 + 68;

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) ||
         (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<char32_t, 256> MakeSpelling() {
  std::array<char32_t, 256> spelling{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    spelling[byte] = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return spelling;
}

// -1 where a character spells no byte.
constexpr std::array<int16_t, kAlphabetEnd> MakeBytes() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  bytes.fill(-1);
  const std::array<char32_t, 256> spelling = MakeSpelling();
  for (int byte = 0; byte < 256; ++byte) bytes[spelling[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<char32_t, 256> kSpelling = MakeSpelling();
constexpr std::array<int16_t, kAlphabetEnd> kBytes = MakeBytes();
static_assert(kSpelling[' '] == 0x120);
static_assert(kBytes[kAlphabetEnd - 1] == 0xAD);

}  // namespace

std::string SpellByte(uint8_t byte) {
  std::string spelling;
  AppendUtf8(kSpelling[byte], &spelling);
  return spelling;
}

std::string SpellingToBytes(std::string_view spelling) {
  std::string bytes;
  for (const char32_t character : ToCodePoints(spelling)) {
    if (character >= kAlphabetEnd || kBytes[character] < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(kBytes[character]));
  }
  return bytes;
}

}  // namespace fastvlm
