#include "runtime/prefix_cache.h"

#include <utility>

namespace fastvlm {

PrefixCache::Match PrefixCache::Find(uint64_t owner, const TokenSequence& prompt) {
  auto best = entries_.end();
  int64_t most = 0;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->owner != owner) continue;
    const int64_t common = CommonPrefix(prompt, entry->tokens);
    if (common <= most) continue;
    most = common;
    best = entry;
  }
  if (best == entries_.end()) return {};
  entries_.splice(entries_.begin(), entries_, best);
  return {entries_.front().cache.get(), most};
}

void PrefixCache::Keep(uint64_t owner, TokenSequence tokens, std::unique_ptr<KvCache> cache) {
  if (cache == nullptr || cache->length() == 0) return;
  const int64_t length = cache->length();
  tokens.ids.resize(static_cast<size_t>(length));
  while (!tokens.pictures.empty() && tokens.pictures.back().start >= length) {
    tokens.pictures.pop_back();
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->owner != owner) {
      ++entry;
      continue;
    }
    const int64_t common = CommonPrefix(tokens, entry->tokens);
    if (common == length) {  // known already
      entries_.splice(entries_.begin(), entries_, entry);
      return;
    }
    if (common == entry->tokens.size()) {  // what is new begins with it
      bytes_ -= entry->bytes;
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
  const int64_t bytes = BytesToKeep(tokens, *cache);
  if (bytes > max_bytes_) return;
  while (bytes_ > max_bytes_ - bytes) DropOldest();  // before anything new is made
  // Cache and tokens were made for the longest answer that could come: the part that was not needed
  // is freed.
  if (KvCache::Bytes(config_, length, type_) < cache->bytes()) {
    auto tight = std::make_unique<KvCache>(config_, length, type_);
    tight->CopyFrom(*cache, length);
    cache = std::move(tight);
  }
  tokens.ids.shrink_to_fit();
  tokens.pictures.shrink_to_fit();
  entries_.push_front({owner, std::move(tokens), std::move(cache), bytes});
  bytes_ += bytes;
}

int64_t PrefixCache::BytesToKeep(const TokenSequence& tokens, const KvCache& cache) const {
  const size_t rest = tokens.pictures.size() * sizeof(PictureSpan) + sizeof(Entry) +
                      static_cast<size_t>(config_.layers) * sizeof(KvLayer);
  return KvCache::Bytes(config_, cache.length(), type_) +
         cache.length() * static_cast<int64_t>(sizeof(int32_t)) + static_cast<int64_t>(rest);
}

void PrefixCache::DropOldest() {
  if (entries_.empty()) return;
  bytes_ -= entries_.back().bytes;
  entries_.pop_back();
}

}  // namespace fastvlm
