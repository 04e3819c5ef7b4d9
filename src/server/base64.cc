#include "server/base64.h"

#include <array>

namespace fastvlm {
namespace {

constexpr int8_t kBad = -1;
constexpr int8_t kSpace = -2;
constexpr int8_t kPad = -3;

constexpr std::array<int8_t, 256> MakeTable() {
  std::array<int8_t, 256> table{};
  table.fill(kBad);
  int8_t value = 0;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<uint8_t>(c)] = value++;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<uint8_t>(c)] = value++;
  for (char c = '0'; c <= '9'; ++c) table[static_cast<uint8_t>(c)] = value++;
  for (char c : {'+', '-'}) table[static_cast<uint8_t>(c)] = 62;
  for (char c : {'/', '_'}) table[static_cast<uint8_t>(c)] = 63;
  for (char c : {' ', '\t', '\r', '\n'}) table[static_cast<uint8_t>(c)] = kSpace;
  table['='] = kPad;
  return table;
}

constexpr std::array<int8_t, 256> kTable = MakeTable();

}  // namespace

std::optional<std::vector<uint8_t>> DecodeBase64(std::string_view text) {
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int digits = 0;  // of the group of four
  int pads = 0;
  for (char c : text) {
    const int8_t value = kTable[static_cast<uint8_t>(c)];
    if (value == kSpace) continue;
    if (value == kPad) {
      ++pads;
      continue;
    }
    if (value == kBad || pads > 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++digits < 4) continue;
    bytes.push_back(static_cast<uint8_t>(bits >> 16));
    bytes.push_back(static_cast<uint8_t>(bits >> 8));
    bytes.push_back(static_cast<uint8_t>(bits));
    bits = 0;
    digits = 0;
  }
  if (digits == 1 || (pads > 0 && (digits < 2 || digits + pads != 4))) return std::nullopt;
  if (digits >= 2) bytes.push_back(static_cast<uint8_t>(bits >> (digits == 2 ? 4 : 10)));
  if (digits == 3) bytes.push_back(static_cast<uint8_t>(bits >> 2));
  return bytes;
}

}  // namespace fastvlm
