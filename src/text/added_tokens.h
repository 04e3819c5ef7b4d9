// Added tokens ("<|im_end|>"): whole strings that are cut out of the text before anything else.
#ifndef FASTVLM_TEXT_ADDED_TOKENS_H_
#define FASTVLM_TEXT_ADDED_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

// Fields as in tokenizer.json's added_tokens.
struct AddedToken {
  int32_t id = 0;
  std::string content;      // not empty
  bool special = false;     // left out of decoded text when special tokens are skipped
  bool normalized = false;  // searched for in the normalised text instead of the raw one
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // takes the white space after it along
};

// Finds added tokens as HF tokenizers does: leftmost, then longest, without overlap.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  // If several tokens have the same content, the first one counts.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  // Calls on_text for each stretch between tokens (never empty) and on_token for each token, in
  // order, until one of them returns false; whether none did. O(size of text * length of the
  // longest token) at worst.
  bool Split(std::string_view text, const std::function<bool(std::string_view)>& on_text,
             const std::function<bool(int32_t)>& on_token) const;

 private:
  // The longest token that `text` begins with, or null.
  const AddedToken* LongestMatch(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // by content
  bool may_start_[256] = {};        // by the first byte
};

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_ADDED_TOKENS_H_
