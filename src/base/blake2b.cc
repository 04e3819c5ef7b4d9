#include "base/blake2b.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fastvlm {
namespace {

constexpr std::array<uint64_t, 8> kStart = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// Which word of the block each step of a round takes; round 10 is as round 0.
constexpr uint8_t kOrder[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

void Mix(uint64_t& a, uint64_t& b, uint64_t& c, uint64_t& d, uint64_t x, uint64_t y) {
  a += b + x;
  d = std::rotr(d ^ a, 32);
  c += d;
  b = std::rotr(b ^ c, 24);
  a += b + y;
  d = std::rotr(d ^ a, 16);
  c += d;
  b = std::rotr(b ^ c, 63);
}

}  // namespace

Blake2b::Blake2b() : state_(kStart) {
  state_[0] ^= 0x01010000 ^ sizeof(Hash256);  // no key
}

void Blake2b::Add(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    // The last block waits for Finish, so a full one is compressed when more comes.
    if (filled_ == block_.size()) Compress(/*last=*/false);
    const size_t count = std::min(bytes.size(), block_.size() - filled_);
    std::memcpy(block_.data() + filled_, bytes.data(), count);
    filled_ += count;
    total_ += count;
    bytes = bytes.subspan(count);
  }
}

Hash256 Blake2b::Finish() {
  std::memset(block_.data() + filled_, 0, block_.size() - filled_);
  Compress(/*last=*/true);
  Hash256 hash;
  for (size_t i = 0; i < hash.size(); ++i) {
    hash[i] = static_cast<uint8_t>(state_[i / 8] >> (8 * (i % 8)));
  }
  return hash;
}

void Blake2b::Compress(bool last) {
  uint64_t m[16];
  for (size_t i = 0; i < 16; ++i) {
    m[i] = 0;
    for (size_t byte = 0; byte < 8; ++byte) m[i] |= uint64_t{block_[8 * i + byte]} << (8 * byte);
  }
  uint64_t v[16];
  for (size_t i = 0; i < 8; ++i) {
    v[i] = state_[i];
    v[i + 8] = kStart[i];
  }
  v[12] ^= total_;
  if (last) v[14] = ~v[14];
  for (int round = 0; round < 12; ++round) {
    const uint8_t* order = kOrder[round % 10];
    for (size_t i = 0; i < 4; ++i) {
      Mix(v[i], v[i + 4], v[i + 8], v[i + 12], m[order[2 * i]], m[order[2 * i + 1]]);
    }
    for (size_t i = 0; i < 4; ++i) {
      Mix(v[i], v[(i + 1) % 4 + 4], v[(i + 2) % 4 + 8], v[(i + 3) % 4 + 12], m[order[8 + 2 * i]],
          m[order[9 + 2 * i]]);
    }
  }
  for (size_t i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[i + 8];
  filled_ = 0;
}

}  // namespace fastvlm
