// Keys and values of every decoder layer for one sequence.
#ifndef FASTVLM_MODEL_KV_CACHE_H_
#define FASTVLM_MODEL_KV_CACHE_H_

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "checkpoint/model_config.h"
#include "ops/kv_layer.h"

namespace fastvlm {

// Has address space for `capacity` tokens from the beginning, but takes memory only as it fills.
// All of it is one allocation, so that even a short cache goes straight back to the system: many
// small ones of different sizes would leave the heap full of holes.
class KvCache {
 public:
  KvCache(const DecoderConfig& config, int64_t capacity, KvType type = KvType::kF32)
      : capacity_(capacity), memory_(static_cast<size_t>(Bytes(config, capacity, type))) {
    const size_t layer = KvLayer::Bytes(config.kv_heads, config.head_dim, capacity, type);
    layers_.reserve(static_cast<size_t>(config.layers));
    for (int64_t i = 0; i < config.layers; ++i) {
      layers_.emplace_back(config.kv_heads, config.head_dim, capacity, type,
                           memory_.data() + static_cast<size_t>(i) * layer);
    }
  }

  // How many bytes of memory a cache takes when it is full.
  static int64_t Bytes(const DecoderConfig& config, int64_t capacity, KvType type) {
    return config.layers *
           static_cast<int64_t>(KvLayer::Bytes(config.kv_heads, config.head_dim, capacity, type));
  }

  int64_t capacity() const { return capacity_; }
  // How many tokens it holds, which is also the position of the next one.
  int64_t length() const { return length_; }
  void Extend(int64_t tokens) { length_ += tokens; }
  // Forgets everything from `length` on.
  void Truncate(int64_t length) { length_ = length; }
  // Takes over the first `length` tokens of another cache of the same model and forgets its own.
  void CopyFrom(const KvCache& other, int64_t length) {
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i].CopyFrom(other.layers_[i], length);
    length_ = length;
  }
  // How many bytes of memory it takes when it is full.
  int64_t bytes() const { return static_cast<int64_t>(memory_.size()); }
  KvLayer& layer(size_t i) { return layers_[i]; }

 private:
  int64_t capacity_;
  int64_t length_ = 0;
  Buffer<uint8_t> memory_;  // of all layers, one after the other
  std::vector<KvLayer> layers_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_KV_CACHE_H_
