// Byte-pair training: from the words of a corpus to a vocabulary and its merges.
#ifndef FASTVLM_TRAIN_TOKENIZER_BPE_TRAINER_H_
#define FASTVLM_TRAIN_TOKENIZER_BPE_TRAINER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"

namespace fastvlm::train {

// How often each word occurs, cut out of the text as the tokenizer will do it.
class WordCounts {
 public:
  // Words beyond this are not counted: no merge would ever reach their end.
  static constexpr size_t kMaxWordBytes = 128;

  // Adds one line of valid UTF-8: special tokens are cut out, the rest is brought to NFC and split
  // by Qwen2's rule.
  void AddLine(std::string_view line);

  const std::unordered_map<std::string, int64_t>& counts() const { return counts_; }
  int64_t total() const { return total_; }        // words counted
  int64_t too_long() const { return too_long_; }  // words left out

 private:
  void AddText(std::string_view text);

  std::unordered_map<std::string, int64_t> counts_;
  int64_t total_ = 0;
  int64_t too_long_ = 0;
};

// Counts the lines of a file. kDataError if it has no word, or for a line that is not UTF-8.
Result<WordCounts> CountWords(const std::string& path);

enum class MergeRule {
  // Only pairs at the start of a word are counted, so a word grows from its start: " c", " ca",
  // " cat". Nearly all merges then begin with the space, and text that follows none, as after a
  // quotation mark, stays in single characters: it is read and written letter by letter.
  kWordStart,
  kAnywhere,  // plain byte-pair encoding
};

struct BpeOptions {
  int tokens = 4096;      // at most, 256 single bytes included; >= 256
  int64_t min_count = 2;  // a pair that occurs less often is not merged; >= 1
  MergeRule rule = MergeRule::kWordStart;
};

struct BpeModel {
  // Bytes of each token by id: first the 256 single bytes in the order of their spelling
  // (text/byte_alphabet.h), then what the merges make.
  std::vector<std::string> tokens;
  std::vector<std::pair<int32_t, int32_t>> merges;  // ids by rank
};

// Merges the most frequent pair of adjacent tokens again and again; among equally frequent ones
// the pair whose left, then right bytes come first. Where two pairs make the same bytes they make
// the same token. The same counts and options give the same model. Each merge costs the length of
// the words it changes, not the size of the corpus.
BpeModel TrainBpe(const WordCounts& words, const BpeOptions& options);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TOKENIZER_BPE_TRAINER_H_
