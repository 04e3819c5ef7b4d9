// Keys and values of every decoder layer for one sequence.
#ifndef FASTVLM_MODEL_KV_CACHE_H_
#define FASTVLM_MODEL_KV_CACHE_H_

#include <cstdint>
#include <vector>

#include "checkpoint/model_config.h"
#include "ops/kv_layer.h"

namespace fastvlm {

// Room for `capacity` tokens; memory becomes resident only as it is used.
class KvCache {
 public:
  KvCache(const DecoderConfig& config, int64_t capacity, KvType type = KvType::kF32)
      : capacity_(capacity) {
    for (int64_t i = 0; i < config.layers; ++i) {
      layers_.emplace_back(config.kv_heads, config.head_dim, capacity, type);
    }
  }

  int64_t capacity() const { return capacity_; }
  // Tokens held; the next one stands at this position.
  int64_t length() const { return length_; }
  void Extend(int64_t tokens) { length_ += tokens; }
  // Forgets everything from `length` on.
  void Truncate(int64_t length) { length_ = length; }
  KvLayer& layer(size_t i) { return layers_[i]; }

 private:
  int64_t capacity_;
  int64_t length_ = 0;
  std::vector<KvLayer> layers_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_KV_CACHE_H_
