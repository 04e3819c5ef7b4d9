// The tokens of a vocabulary in the order of their bytes, for walking a grammar over all of them.
#ifndef FASTVLM_GRAMMAR_TOKEN_INDEX_H_
#define FASTVLM_GRAMMAR_TOKEN_INDEX_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace fastvlm::grammar {

// One bit for each token.
using TokenMask = std::vector<uint64_t>;

inline void AddToMask(int32_t token, TokenMask& mask) {
  mask[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

// A prefix tree. Its nodes stand in the order of a walk from left to right. Tokens with the same
// bytes share a node.
struct TokenTree {
  struct Node {
    uint32_t end;  // the first node behind those that are below this one
    uint32_t tokens_begin, tokens_end;
    uint16_t depth;  // bytes before this one
    uint8_t byte;
  };
  std::vector<Node> nodes;
  std::vector<int32_t> tokens;
  int depth = 0;  // bytes of the longest token
};

// Immutable. Special tokens and those that end an answer are in neither tree.
struct TokenIndex {
  // kInvalidArgument if none of `eos_ids` is in the vocabulary, kDataError if one of the 256 bytes
  // has no token of its own. The tokenizer is not needed afterwards.
  static Result<std::shared_ptr<const TokenIndex>> Create(const Tokenizer& tokenizer,
                                                          std::span<const int32_t> eos_ids);

  // Tokens that are whole characters of a JSON string's content (no quote, backslash, control
  // character or part of a character), the fewest characters first.
  struct PlainToken {
    int32_t token;
    int32_t characters;
  };

  std::string_view Bytes(int32_t token) const;
  TokenMask EmptyMask() const { return TokenMask((static_cast<size_t>(size) + 63) / 64); }
  // Adds the plain tokens that have at most so many characters to a mask.
  void AddPlain(int characters, TokenMask& mask) const;

  int32_t size = 0;  // ids of the vocabulary
  std::vector<int32_t> eos_ids;
  std::vector<PlainToken> plain;
  TokenMask all_plain;
  TokenTree plain_tree;
  TokenTree other_tree;
  std::vector<char> bytes;  // of all tokens by id
  std::vector<uint32_t> offsets;
};

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_TOKEN_INDEX_H_
