// Qwen2's byte-level BPE tokenizer: text to token ids and back, id for id as Hugging Face's
// `tokenizers` (0.23) does it.
//
// Known difference: characters are normalised by utf8proc's Unicode version (15), as the published
// Python tokenizer does; HF's Rust code has older tables, so that some hundred rare combining marks
// (for example U+0898 and U+1ABF) are put in another order when several stand on one letter.
#ifndef FASTVLM_TEXT_TOKENIZER_H_
#define FASTVLM_TEXT_TOKENIZER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/vocabulary.h"

namespace fastvlm {

// Immutable, so that any number of threads can share one.
class Tokenizer {
 public:
  // Reads the files that ReadVocabulary (vocabulary.h) names. Errors: the ones named there, and
  // those of Create.
  static Result<Tokenizer> Load(const std::string& directory);

  // `source` names the vocabulary in messages. kDataError if an id is not in 0..kMaxTokenId or
  // belongs to two tokens, an added token is empty, one of the 256 bytes has no token, or a merge
  // names or makes a token that is not in the vocabulary.
  static Result<Tokenizer> Create(const Vocabulary& vocabulary, const std::string& source);

  // Ids of `text`: added tokens are cut out first, wherever they come from (a user who types
  // "<|im_end|>" gets that token, as in the reference), the rest is normalised to NFC, split into
  // words and merged. Every ill-formed UTF-8 sequence counts as one U+FFFD. No tokens are added.
  // O(n log n) in the bytes of text, which must be below 2 GiB.
  std::vector<int32_t> Encode(std::string_view text) const;

  // The same, appended to *ids, for texts that may be far too long: false as soon as the text turns
  // out to have more than `most` tokens, and what was appended is of no use then. Memory and time
  // are bounded by `most` and not by the text.
  bool EncodeUpTo(std::string_view text, size_t most, std::vector<int32_t>* ids) const;
  // A text with more bytes has more than `tokens` tokens. The largest size_t if there is no such
  // bound, because added tokens take white space along.
  size_t MostBytes(size_t tokens) const;

  // Bytes of a token, any part of a character; empty for ids that are no token. Valid as long as
  // the tokenizer.
  std::string_view TokenBytes(int32_t id) const;

  // Text of a whole sequence, with U+FFFD for bytes that make no character; ids that are no token
  // are passed over. For text as it is generated see StreamDecoder.
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const;

  // 1 + the highest id, HF's len(tokenizer). Rows of the model from here on belong to no token.
  int32_t size() const { return static_cast<int32_t>(offsets_.size()) - 1; }

  // The token with this spelling: the content of an added token ("<|im_end|>"), or a token as
  // vocab.json spells it ("\u0120the" with U+0120 for the space).
  std::optional<int32_t> TokenId(std::string_view spelling) const;

  bool IsSpecial(int32_t id) const;

 private:
  explicit Tokenizer(const std::array<int32_t, 256>& byte_tokens) : encoder_(byte_tokens) {}

  void StoreBytes(const std::vector<const std::string*>& spellings);
  void StoreAddedTokens(const std::vector<AddedToken>& tokens);
  // As EncodeUpTo; the sizes count what *ids held before as well.
  bool EncodePlain(std::string_view text, size_t most, std::vector<int32_t>* ids) const;
  bool EncodeNormalized(std::string_view text, size_t most, std::vector<int32_t>* ids) const;
  bool EncodeWords(std::string_view text, size_t most, std::vector<int32_t>* ids) const;

  TokenMap ids_;                   // by spelling, with the added tokens
  std::string bytes_;              // of all tokens by id, one after the other
  std::vector<uint32_t> offsets_;  // token i is bytes_[offsets_[i], offsets_[i + 1])
  std::vector<bool> special_;      // by id
  size_t longest_token_ = 1;       // in bytes, of the text that a token stands for
  bool takes_spaces_ = false;      // some added token does
  BytePairEncoder encoder_;
  AddedTokenMatcher raw_tokens_;
  AddedTokenMatcher normalized_tokens_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_TOKENIZER_H_
