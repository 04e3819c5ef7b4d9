#include "text/bpe.h"

#include <algorithm>

namespace fastvlm {

void BytePairEncoder::AddMerge(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
  merges_[Key(left, right)] = {rank, merged};
}

void BytePairEncoder::Encode(std::string_view word, std::vector<int32_t>* ids) const {
  if (word.size() == 1) {
    ids->push_back(byte_tokens_[static_cast<uint8_t>(word[0])]);
    return;
  }
  std::vector<Symbol> symbols(word.size());
  const auto size = static_cast<int32_t>(word.size());
  for (int32_t i = 0; i < size; ++i) {
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], i - 1, i + 1 < size ? i + 1 : kNone};
  }
  MergeAll(&symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.token != kDead) ids->push_back(symbol.token);
  }
}

bool BytePairEncoder::ComesLater(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

void BytePairEncoder::PushCandidate(const std::vector<Symbol>& symbols, int32_t position,
                                    std::vector<Candidate>* heap) const {
  if (position == kNone || symbols[position].next == kNone) return;
  const int32_t left = symbols[position].token;
  const int32_t right = symbols[symbols[position].next].token;
  const auto merge = merges_.find(Key(left, right));
  if (merge == merges_.end()) return;
  heap->push_back({merge->second.rank, position, left, right, merge->second.merged});
  std::push_heap(heap->begin(), heap->end(), ComesLater);
}

void BytePairEncoder::MergeAll(std::vector<Symbol>* symbols) const {
  std::vector<Symbol>& list = *symbols;
  std::vector<Candidate> heap;
  heap.reserve(list.size());
  for (size_t i = 0; i + 1 < list.size(); ++i) PushCandidate(list, static_cast<int32_t>(i), &heap);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), ComesLater);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = list[best.position];
    // Symbols only grow, so a candidate whose two tokens still stand here is current.
    if (left.token != best.left || left.next == kNone) continue;
    Symbol& right = list[left.next];
    if (right.token != best.right) continue;

    left.token = best.merged;
    right.token = kDead;
    left.next = right.next;
    if (left.next != kNone) list[left.next].previous = best.position;
    PushCandidate(list, left.previous, &heap);
    PushCandidate(list, best.position, &heap);
  }
}

}  // namespace fastvlm
