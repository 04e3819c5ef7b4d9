// What an engine holds in memory, and its two caches, which give way when a request needs room.
#ifndef FASTVLM_RUNTIME_ENGINE_MEMORY_H_
#define FASTVLM_RUNTIME_ENGINE_MEMORY_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/image_cache.h"
#include "runtime/prefix_cache.h"

namespace fastvlm {

// Counts bytes before they are allocated. Claims and what the caches hold are together at most the
// limit at every moment. Thread-safe, but for caches(), which see.
class EngineMemory {
 public:
  // limit: in bytes; 0 for none. The others as of ImageCache and PrefixCache.
  EngineMemory(int64_t limit, int64_t image_cache_bytes, const DecoderConfig& config, KvType type,
               int64_t prefix_cache_bytes)
      : limit_(limit), images_(image_cache_bytes), prefixes_(config, type, prefix_cache_bytes) {}
  EngineMemory(const EngineMemory&) = delete;
  EngineMemory& operator=(const EngineMemory&) = delete;

  // Bytes that somebody may hold, until the claim ends.
  class Claim {
   public:
    Claim() = default;
    Claim(EngineMemory* memory, int64_t bytes) : memory_(memory), bytes_(bytes) {}
    Claim(Claim&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Claim& operator=(Claim&& other) noexcept {
      std::swap(memory_, other.memory_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Claim() {
      if (memory_ != nullptr) memory_->GiveBack(bytes_);
    }
    int64_t bytes() const { return bytes_; }
    // Takes over what another claim has of the same memory.
    void Join(Claim&& other) {
      memory_ = other.memory_;
      bytes_ += std::exchange(other.bytes_, 0);
    }

   private:
    EngineMemory* memory_ = nullptr;
    int64_t bytes_ = 0;
  };

  // So many bytes more; what the caches hold is dropped as far as needed. Nothing, and no cache is
  // touched, if all others' claims leave too little.
  std::optional<Claim> Take(int64_t bytes);

  int64_t limit() const { return limit_; }
  int64_t claimed() const;
  int64_t bytes() const;  // with what the caches hold

  // The caches, for as long as `lock` is held. What the prefix cache finds is valid only so long.
  struct Caches {
    std::unique_lock<std::mutex> lock;
    EngineMemory& memory;

    VisualTokens FindPicture(const ImageCache::Key& key) { return memory.images_.Find(key); }
    PrefixCache::Match FindPrefix(uint64_t owner, const TokenSequence& prompt) {
      return memory.prefixes_.Find(owner, prompt);
    }
    // These keep nothing if the limit leaves no room.
    void KeepPicture(const ImageCache::Key& key, VisualTokens tokens);
    void KeepPrefix(uint64_t owner, TokenSequence tokens, std::unique_ptr<KvCache> cache);
    int64_t picture_bytes() const { return memory.images_.bytes(); }
    int64_t prefix_bytes() const { return memory.prefixes_.bytes(); }
  };
  Caches caches() { return {std::unique_lock(mutex_), *this}; }

 private:
  // With the mutex held.
  bool MakeRoom(int64_t bytes);
  void GiveBack(int64_t bytes);

  const int64_t limit_;
  mutable std::mutex mutex_;  // guards all below
  int64_t claimed_ = 0;
  ImageCache images_;
  PrefixCache prefixes_;
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ENGINE_MEMORY_H_
