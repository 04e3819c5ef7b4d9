// Visual tokens of pictures that were encoded before.
#ifndef FASTVLM_RUNTIME_IMAGE_CACHE_H_
#define FASTVLM_RUNTIME_IMAGE_CACHE_H_

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include "base/blake2b.h"
#include "base/buffer.h"

namespace fastvlm {

using VisualTokens = std::shared_ptr<const Buffer<float>>;  // [tokens, hidden]

// Keeps at most max_bytes and drops first what was used least recently. A picture is found by its
// owner only. The bytes of all owners count together: who finds that a picture of theirs was
// dropped learns that others are busy, but nothing of what they sent. Not thread-safe.
class ImageCache {
 public:
  explicit ImageCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  struct Key {
    uint64_t owner = 0;
    Hash256 picture = {};
    auto operator<=>(const Key&) const = default;
  };

  VisualTokens Find(const Key& key);  // null if it is not there
  void Keep(const Key& key, VisualTokens tokens);
  void DropOldest();  // if there is one
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Key key;
    VisualTokens tokens;
    int64_t bytes() const { return static_cast<int64_t>(tokens->size() * sizeof(float)); }
  };
  using Entries = std::list<Entry>;

  int64_t max_bytes_;
  int64_t bytes_ = 0;
  Entries entries_;  // the last used first
  std::map<Key, Entries::iterator> by_key_;
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_IMAGE_CACHE_H_
