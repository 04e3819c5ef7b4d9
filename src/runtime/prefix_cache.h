// Keys and values of requests that have ended, for those that begin alike.
#ifndef FASTVLM_RUNTIME_PREFIX_CACHE_H_
#define FASTVLM_RUNTIME_PREFIX_CACHE_H_

#include <cstdint>
#include <list>
#include <memory>

#include "model/kv_cache.h"
#include "runtime/prompt.h"

namespace fastvlm {

// Keeps at most max_bytes and drops first what was used least recently. An owner finds only what is
// kept for the same owner; the bytes of all count together, as in ImageCache. Not thread-safe.
class PrefixCache {
 public:
  // config must outlive it.
  PrefixCache(const DecoderConfig& config, KvType type, int64_t max_bytes)
      : config_(config), type_(type), max_bytes_(max_bytes) {}

  // The owner's cache that has the most positions in common with the prompt, and how many these
  // are; null and 0 if none begins like it. Valid until the next call of Keep.
  struct Match {
    const KvCache* cache = nullptr;
    int64_t positions = 0;
  };
  Match Find(uint64_t owner, const TokenSequence& prompt);

  // `tokens` may be more than the cache holds. A null cache is not kept.
  void Keep(uint64_t owner, TokenSequence tokens, std::unique_ptr<KvCache> cache);
  // How many bytes more the cache would take if it kept this, which it does by a copy.
  int64_t BytesToKeep(const TokenSequence& tokens, const KvCache& cache) const;
  void DropOldest();  // if there is one
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    uint64_t owner;
    TokenSequence tokens;  // as many as the cache holds
    std::unique_ptr<KvCache> cache;
    int64_t bytes = 0;
  };

  const DecoderConfig& config_;
  KvType type_;  // of all caches that are kept
  int64_t max_bytes_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // the last used first
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_PREFIX_CACHE_H_
