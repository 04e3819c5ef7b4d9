#include "runtime/engine_memory.h"

namespace fastvlm {

std::optional<EngineMemory::Claim> EngineMemory::Take(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!MakeRoom(bytes)) return std::nullopt;
  claimed_ += bytes;
  return std::make_optional<Claim>(this, bytes);
}

void EngineMemory::GiveBack(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  claimed_ -= bytes;
}

int64_t EngineMemory::claimed() const {
  const std::lock_guard lock(mutex_);
  return claimed_;
}

int64_t EngineMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  return claimed_ + images_.bytes() + prefixes_.bytes();
}

// Takes from the cache that holds more.
bool EngineMemory::MakeRoom(int64_t bytes) {
  if (limit_ == 0) return true;
  if (bytes > limit_ - claimed_) return false;
  while (claimed_ + images_.bytes() + prefixes_.bytes() > limit_ - bytes) {
    if (images_.bytes() > prefixes_.bytes()) {
      images_.DropOldest();
    } else {
      prefixes_.DropOldest();
    }
  }
  return true;
}

void EngineMemory::Caches::KeepPicture(const ImageCache::Key& key, VisualTokens tokens) {
  const auto bytes = static_cast<int64_t>(tokens->size() * sizeof(float));
  if (memory.MakeRoom(bytes)) memory.images_.Keep(key, std::move(tokens));
}

void EngineMemory::Caches::KeepPrefix(uint64_t owner, TokenSequence tokens,
                                      std::unique_ptr<KvCache> cache) {
  if (cache == nullptr || cache->length() == 0) return;
  if (!memory.MakeRoom(memory.prefixes_.BytesToKeep(tokens, *cache))) return;
  memory.prefixes_.Keep(owner, std::move(tokens), std::move(cache));
}

}  // namespace fastvlm
