// A tokenizer that lies in the same file as the weights.
#ifndef FASTVLM_CHECKPOINT_STORED_TOKENIZER_H_
#define FASTVLM_CHECKPOINT_STORED_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

enum class StoredTokenKind : uint8_t {
  kNormal,   // spelled in the byte alphabet
  kSpecial,  // an added token that is left out of answers
  kAdded,    // another added token
  kUnused    // fills up the rows of the embedding
};

// Views into the file of the Checkpoint it came from. tokens and kinds are by id.
struct StoredTokenizer {
  std::string path;
  std::vector<std::string_view> tokens;
  std::vector<StoredTokenKind> kinds;
  std::vector<std::string_view> merges;  // "left right", by rank
  std::string_view chat_template;        // empty if there is none
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_STORED_TOKENIZER_H_
