#include "train/tokenizer/bpe_trainer.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "base/check.h"
#include "text/byte_alphabet.h"

namespace fastvlm::train {
namespace {

struct Word {
  std::vector<int32_t> symbols;
  int64_t count = 0;
};

struct Pair {
  int64_t count = 0;           // where the rule counts it
  std::vector<int32_t> words;  // all that hold it, perhaps some that once did
};

struct Merge {
  size_t rank = 0;
  int32_t merged = 0;
};

// An entry of the queue; out of date once the pair's count is another.
struct Candidate {
  int64_t count;
  int32_t left, right;
};

class Trainer {
 public:
  Trainer(const WordCounts& words, const BpeOptions& options) : options_(options) {
    const std::vector<int32_t> id_of_byte = AddBytes();
    words_.reserve(words.counts().size());
    for (const auto& [text, count] : words.counts()) {
      Word word;
      word.count = count;
      for (const char c : text) word.symbols.push_back(id_of_byte[static_cast<uint8_t>(c)]);
      words_.push_back(std::move(word));
    }
    std::unordered_set<uint64_t> changed;
    for (int32_t i = 0; i < static_cast<int32_t>(words_.size()); ++i) Count(i, 1, &changed);
    Enqueue(changed);
  }

  BpeModel Run() {
    while (model_.tokens.size() < static_cast<size_t>(options_.tokens) && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const Pair& pair = pairs_[Key(best.left, best.right)];
      if (pair.count != best.count) continue;
      if (best.count < options_.min_count) break;
      Apply(best.left, best.right);
    }
    return std::move(model_);
  }

 private:
  struct ComesLater {
    const std::vector<std::string>* tokens;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      if (a.left != b.left) return (*tokens)[a.left] > (*tokens)[b.left];
      return a.right != b.right && (*tokens)[a.right] > (*tokens)[b.right];
    }
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  // The single bytes in the order of their spelling; id of each byte.
  std::vector<int32_t> AddBytes() {
    std::vector<std::pair<std::string, uint8_t>> spellings;
    for (int byte = 0; byte < 256; ++byte) {
      spellings.emplace_back(SpellByte(static_cast<uint8_t>(byte)), static_cast<uint8_t>(byte));
    }
    std::sort(spellings.begin(), spellings.end());
    std::vector<int32_t> id_of_byte(256);
    for (const auto& [spelling, byte] : spellings) {
      id_of_byte[byte] = TokenOf(std::string(1, static_cast<char>(byte)));
    }
    return id_of_byte;
  }

  int32_t TokenOf(const std::string& bytes) {
    const auto [entry, is_new] = ids_.emplace(bytes, static_cast<int32_t>(model_.tokens.size()));
    if (is_new) model_.tokens.push_back(bytes);
    return entry->second;
  }

  // Adds (sign 1) or takes away (-1) the pairs of a word.
  void Count(int32_t index, int sign, std::unordered_set<uint64_t>* changed) {
    const Word& word = words_[static_cast<size_t>(index)];
    for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const uint64_t key = Key(word.symbols[i], word.symbols[i + 1]);
      Pair& pair = pairs_[key];
      if (sign > 0) pair.words.push_back(index);
      if (i > 0 && options_.rule == MergeRule::kWordStart) continue;
      pair.count += sign * word.count;
      changed->insert(key);
    }
  }

  void Enqueue(const std::unordered_set<uint64_t>& changed) {
    for (const uint64_t key : changed) {
      const int64_t count = pairs_[key].count;
      if (count < options_.min_count) continue;
      queue_.push({count, static_cast<int32_t>(key >> 32), static_cast<int32_t>(key)});
    }
  }

  void Apply(int32_t left, int32_t right) {
    const int32_t merged = TokenOf(model_.tokens[left] + model_.tokens[right]);
    const uint64_t key = Key(left, right);
    merges_[key] = {model_.merges.size(), merged};
    model_.merges.emplace_back(left, right);
    std::vector<int32_t> holders = std::move(pairs_[key].words);
    pairs_[key].words.clear();
    std::sort(holders.begin(), holders.end());
    holders.erase(std::unique(holders.begin(), holders.end()), holders.end());
    std::unordered_set<uint64_t> changed;
    for (const int32_t index : holders) {
      Count(index, -1, &changed);
      MergeWord(&words_[static_cast<size_t>(index)].symbols);
      Count(index, 1, &changed);
    }
    FASTVLM_CHECK(pairs_[key].count == 0);
    Enqueue(changed);
  }

  // Merges as the tokenizer will: the lowest rank first, then the leftmost pair. Usually only the
  // newest merge applies; where it makes a token that was there before, older ones can follow it.
  void MergeWord(std::vector<int32_t>* symbols) const {
    while (true) {
      const Merge* best = nullptr;
      size_t position = 0;
      for (size_t i = 0; i + 1 < symbols->size(); ++i) {
        const auto merge = merges_.find(Key((*symbols)[i], (*symbols)[i + 1]));
        if (merge == merges_.end() || (best != nullptr && best->rank <= merge->second.rank)) {
          continue;
        }
        best = &merge->second;
        position = i;
      }
      if (best == nullptr) return;
      (*symbols)[position] = best->merged;
      symbols->erase(symbols->begin() + static_cast<std::ptrdiff_t>(position) + 1);
    }
  }

  const BpeOptions& options_;
  BpeModel model_;
  std::unordered_map<std::string, int32_t> ids_;  // by bytes
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::unordered_map<uint64_t, Merge> merges_;
  std::priority_queue<Candidate, std::vector<Candidate>, ComesLater> queue_{
      ComesLater{&model_.tokens}};
};

}  // namespace

BpeModel TrainBpe(const WordCounts& words, const BpeOptions& options) {
  return Trainer(words, options).Run();
}

}  // namespace fastvlm::train
