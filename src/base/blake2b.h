// The hash function BLAKE2b with 256 bits, by which contents are named: nobody can make two
// different contents with the same name.
// Source: RFC 7693.
#ifndef FASTVLM_BASE_BLAKE2B_H_
#define FASTVLM_BASE_BLAKE2B_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fastvlm {

using Hash256 = std::array<uint8_t, 32>;

// Hashes all that is added, in order, as one message.
class Blake2b {
 public:
  Blake2b();
  void Add(std::span<const uint8_t> bytes);
  Hash256 Finish();  // ends the use of this object

 private:
  void Compress(bool last);

  std::array<uint64_t, 8> state_;
  std::array<uint8_t, 128> block_;
  size_t filled_ = 0;   // bytes of block_ that are in use
  uint64_t total_ = 0;  // bytes compressed so far, with the block under way; below 2^64
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_BLAKE2B_H_
