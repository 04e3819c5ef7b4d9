// The keys and values of one decoder layer for one sequence.
#ifndef FASTVLM_OPS_KV_LAYER_H_
#define FASTVLM_OPS_KV_LAYER_H_

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"

namespace fastvlm {

// How keys and values are held. Products are of f32.
enum class KvType {
  kF32,
  kF16,  // rounded; beyond the range of f16 they become its largest value
  kQ8,   // 8 bits in blocks of 32 along the head with a scale of their own
};

// Blocks of kAttentionBlock tokens as kernels/attention_f32 reads them, `stride` floats apart.
struct KvBlocks {
  const float* data;
  int64_t stride;
};

// Memory is reserved for `capacity` tokens at once and grows resident from front to back as tokens
// are stored. Not thread-safe.
class KvLayer {
 public:
  KvLayer() = default;
  // Sizes >= 1.
  KvLayer(int64_t kv_heads, int64_t head_dim, int64_t capacity, KvType type = KvType::kF32);
  // In memory of the caller, ResidentBytes(capacity) bytes aligned to kAlignment, which must stay
  // where it is as long as the layer is used.
  KvLayer(int64_t kv_heads, int64_t head_dim, int64_t capacity, KvType type, uint8_t* memory);

  // Stores the keys and values of positions start..start + tokens - 1, replacing what was there.
  // k, v: [tokens, kv_heads * head_dim], rows k_stride and v_stride floats apart.
  // start + tokens <= capacity().
  void Store(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t tokens,
             int64_t start);

  // Takes over the first `tokens` positions of a layer of the same shape and type.
  void CopyFrom(const KvLayer& other, int64_t tokens);  // tokens <= both capacities

  int64_t kv_heads() const { return kv_heads_; }
  int64_t head_dim() const { return head_dim_; }
  int64_t capacity() const { return capacity_; }

  // Bytes in use once `tokens` tokens are stored, before the system rounds up to its pages.
  size_t ResidentBytes(int64_t tokens) const { return Bytes(kv_heads_, head_dim_, tokens, type_); }
  static size_t Bytes(int64_t kv_heads, int64_t head_dim, int64_t tokens, KvType type);

  // The blocks of a head from first_block on that hold the next `keys` keys: where they are, or
  // widened into `widened`, which has WidenedFloats(head_dim, keys) floats.
  KvBlocks Blocks(int64_t kv_head, int64_t first_block, int64_t keys, float* widened) const;
  static int64_t WidenedFloats(int64_t head_dim, int64_t keys);

 private:
  uint8_t* HeadBlock(int64_t block, int64_t head) {
    return bytes_ + (block * kv_heads_ + head) * head_bytes_;
  }
  const uint8_t* HeadBlock(int64_t block, int64_t head) const {
    return bytes_ + (block * kv_heads_ + head) * head_bytes_;
  }
  void Pack(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
            int64_t tokens, uint8_t* block) const;
  void PackInt8(const float* k, int64_t k_stride, const float* v, int64_t v_stride, int64_t first,
                int64_t tokens, uint8_t* block) const;
  void Widen(const uint8_t* block, float* out) const;

  int64_t kv_heads_ = 0;
  int64_t head_dim_ = 0;
  int64_t capacity_ = 0;
  KvType type_ = KvType::kF32;
  int64_t head_bytes_ = 0;    // of one block of one head
  Buffer<uint8_t> own_;       // empty if the memory is the caller's
  uint8_t* bytes_ = nullptr;  // [blocks of kAttentionBlock tokens][kv_heads][head_bytes_]
};

}  // namespace fastvlm

#endif  // FASTVLM_OPS_KV_LAYER_H_
