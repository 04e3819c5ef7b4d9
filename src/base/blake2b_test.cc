#include "base/blake2b.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fastvlm {
namespace {

std::string Hex(const Hash256& hash) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : hash) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Expected values: Python's hashlib.blake2b(message, digest_size=32).
TEST(Blake2bTest, AgreesWithAnotherImplementation) {
  const std::vector<std::pair<size_t, std::string>> cases = {
      {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
      {1, "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"},
      {127, "1bb3d24376d0b5840955e640c6a8a4830cd69af0b7ad71a409d2a30c6a374abb"},
      {128, "9101ed0a248b57efc0c6070cfbf9cf316c182d125ad6191c1f7783c3d32b6346"},
      {129, "60f5e954d1a1775362ffd0762ed37bbe101ed5e88896dd793f1a889786fb3132"},
      {256, "45d503f4fc344944eeff959e1e2234c47884011023598cadbd934f08d4265016"},
      {1000, "a494537cc57474059ebe7a7f7a76c03306551355abebb1967408ed04e7564fa9"}};
  for (const auto& [size, expected] : cases) {
    std::vector<uint8_t> message;
    for (size_t i = 0; i < size; ++i) message.push_back(static_cast<uint8_t>(i * 7 % 251));
    Blake2b whole;
    whole.Add(message);
    EXPECT_EQ(Hex(whole.Finish()), expected) << size;
    Blake2b pieces;
    for (size_t at = 0; at < size; at += 37) {
      pieces.Add(std::span(message).subspan(at, std::min<size_t>(37, size - at)));
    }
    EXPECT_EQ(Hex(pieces.Finish()), expected) << size << " in pieces";
  }
}

}  // namespace
}  // namespace fastvlm
