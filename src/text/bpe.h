// Byte-pair encoding: merges the bytes of a word into tokens.
#ifndef FASTVLM_TEXT_BPE_H_
#define FASTVLM_TEXT_BPE_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fastvlm {

// Immutable once built, safe to share between threads.
class BytePairEncoder {
 public:
  // byte_tokens[b]: the token of the single byte b.
  explicit BytePairEncoder(const std::array<int32_t, 256>& byte_tokens)
      : byte_tokens_(byte_tokens) {}

  void Reserve(size_t merges) { merges_.reserve(merges); }

  // The pair (left, right) becomes `merged`; lower ranks go first. A pair added again replaces the
  // earlier one, as in HF tokenizers. Tokens are >= 0, ranks below 2^32.
  void AddMerge(int32_t left, int32_t right, uint32_t rank, int32_t merged);

  // Appends the tokens of `word` to *ids: starting from one token per byte, merges the adjacent
  // pair of lowest rank, leftmost first, until no pair has a rank. O(n log n) time and O(n) memory
  // for n bytes; a word is below 2 GiB.
  void Encode(std::string_view word, std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged;
  };
  struct Symbol {
    int32_t token;  // kDead once merged into its left neighbour
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    uint32_t rank;
    int32_t position;
    int32_t left;
    int32_t right;
    int32_t merged;
  };
  static constexpr int32_t kDead = -1;
  static constexpr int32_t kNone = -1;

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  static bool ComesLater(const Candidate& a, const Candidate& b);
  void PushCandidate(const std::vector<Symbol>& symbols, int32_t position,
                     std::vector<Candidate>* heap) const;
  void MergeAll(std::vector<Symbol>* symbols) const;

  std::array<int32_t, 256> byte_tokens_;
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_BPE_H_
