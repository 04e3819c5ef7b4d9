#include "runtime/image_cache.h"

#include <utility>

namespace fastvlm {

VisualTokens ImageCache::Find(const Key& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().tokens;
}

void ImageCache::DropOldest() {
  if (entries_.empty()) return;
  bytes_ -= entries_.back().bytes();
  by_key_.erase(entries_.back().key);
  entries_.pop_back();
}

void ImageCache::Keep(const Key& key, VisualTokens tokens) {
  Entries made;  // first, so that a lack of memory changes nothing
  made.push_front({key, std::move(tokens)});
  if (!by_key_.try_emplace(key, made.begin()).second) return;
  entries_.splice(entries_.begin(), made);
  bytes_ += entries_.front().bytes();
  while (bytes_ > max_bytes_) DropOldest();
}

}  // namespace fastvlm
