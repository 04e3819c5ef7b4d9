#include "ops/kv_layer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "base/round.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/attention_f32/pack.h"
#include "kernels/kv_widen/kv_widen.h"

namespace fastvlm {
namespace {

constexpr int64_t kScaleBlock = 32;  // elements of a key or value with one scale
constexpr float kLargestF16 = 65504;

int64_t ScaleBlocks(int64_t head_dim) { return CeilDiv(head_dim, kScaleBlock); }

// Eight bits: the elements of a block, then the scales of its keys, then those of its values, both
// [ScaleBlocks(head_dim)][kAttentionBlock].
int64_t HeadBytes(KvType type, int64_t head_dim) {
  const int64_t elements = AttentionBlockFloats(head_dim);
  switch (type) {
    case KvType::kF32:
      return elements * static_cast<int64_t>(sizeof(float));
    case KvType::kF16:
      return elements * static_cast<int64_t>(sizeof(uint16_t));
    case KvType::kQ8:
      return elements +
             2 * ScaleBlocks(head_dim) * kAttentionBlock * static_cast<int64_t>(sizeof(float));
  }
  FASTVLM_CHECK(false);
}

uint16_t SaturatedF16(float x) { return F16FromF32(std::clamp(x, -kLargestF16, kLargestF16)); }

// Writes the scales of a token's elements, kAttentionBlock floats apart.
void FindScales(const float* x, int64_t head_dim, float* scales) {
  for (int64_t first = 0; first < head_dim; first += kScaleBlock) {
    float largest = 0;
    for (int64_t d = first; d < std::min(first + kScaleBlock, head_dim); ++d) {
      largest = std::max(largest, std::abs(x[d]));
    }
    *scales = largest / 127;
    scales += kAttentionBlock;
  }
}

int8_t Quantize(float x, float scale) {
  return static_cast<int8_t>(scale > 0 ? std::lrintf(std::clamp(x / scale, -127.0f, 127.0f)) : 0);
}

}  // namespace

KvLayer::KvLayer(int64_t kv_heads, int64_t head_dim, int64_t capacity, KvType type, uint8_t* memory)
    : kv_heads_(kv_heads),
      head_dim_(head_dim),
      capacity_(capacity),
      type_(type),
      head_bytes_(HeadBytes(type, head_dim)),
      bytes_(memory) {
  FASTVLM_CHECK(kv_heads >= 1 && head_dim >= 1 && capacity >= 1);
}

KvLayer::KvLayer(int64_t kv_heads, int64_t head_dim, int64_t capacity, KvType type)
    : KvLayer(kv_heads, head_dim, capacity, type, nullptr) {
  own_ = Buffer<uint8_t>(ResidentBytes(capacity));
  bytes_ = own_.data();
}

size_t KvLayer::Bytes(int64_t kv_heads, int64_t head_dim, int64_t tokens, KvType type) {
  return static_cast<size_t>(CeilDiv(tokens, kAttentionBlock) * kv_heads *
                             HeadBytes(type, head_dim));
}

void KvLayer::Store(const float* k, int64_t k_stride, const float* v, int64_t v_stride,
                    int64_t tokens, int64_t start) {
  FASTVLM_CHECK(start >= 0 && tokens >= 0 && start + tokens <= capacity_);
  for (int64_t t = 0; t < tokens;) {
    const int64_t place = (start + t) % kAttentionBlock;
    const int64_t count = std::min(kAttentionBlock - place, tokens - t);
    for (int64_t head = 0; head < kv_heads_; ++head) {
      Pack(k + t * k_stride + head * head_dim_, k_stride, v + t * v_stride + head * head_dim_,
           v_stride, place, count, HeadBlock((start + t) / kAttentionBlock, head));
    }
    t += count;
  }
}

void KvLayer::CopyFrom(const KvLayer& other, int64_t tokens) {
  FASTVLM_CHECK(other.kv_heads_ == kv_heads_ && other.head_dim_ == head_dim_ &&
                other.type_ == type_);
  FASTVLM_CHECK(tokens >= 0 && tokens <= std::min(capacity_, other.capacity_));
  std::memcpy(bytes_, other.bytes_, ResidentBytes(tokens));
}

void KvLayer::Pack(const float* k, int64_t k_stride, const float* v, int64_t v_stride,
                   int64_t first, int64_t tokens, uint8_t* block) const {
  const auto to_f16 = [](int64_t, int64_t, float x) { return SaturatedF16(x); };
  switch (type_) {
    case KvType::kF32:
      return PackKeyValue(k, k_stride, v, v_stride, first, tokens, head_dim_,
                          reinterpret_cast<float*>(block));
    case KvType::kF16:
      return PackKeyValue(k, k_stride, v, v_stride, first, tokens, head_dim_,
                          reinterpret_cast<uint16_t*>(block), to_f16, to_f16);
    case KvType::kQ8:
      return PackInt8(k, k_stride, v, v_stride, first, tokens, block);
  }
}

void KvLayer::PackInt8(const float* k, int64_t k_stride, const float* v, int64_t v_stride,
                       int64_t first, int64_t tokens, uint8_t* block) const {
  auto* key_scales = reinterpret_cast<float*>(block + AttentionBlockFloats(head_dim_)) + first;
  float* value_scales = key_scales + ScaleBlocks(head_dim_) * kAttentionBlock;
  for (int64_t t = 0; t < tokens; ++t) {
    FindScales(k + t * k_stride, head_dim_, key_scales + t);
    FindScales(v + t * v_stride, head_dim_, value_scales + t);
  }
  const auto quantizer = [](const float* scales) {
    return [scales](int64_t t, int64_t d, float x) {
      return Quantize(x, scales[d / kScaleBlock * kAttentionBlock + t]);
    };
  };
  PackKeyValue(k, k_stride, v, v_stride, first, tokens, head_dim_, reinterpret_cast<int8_t*>(block),
               quantizer(key_scales), quantizer(value_scales));
}

int64_t KvLayer::WidenedFloats(int64_t head_dim, int64_t keys) {
  return CeilDiv(keys, kAttentionBlock) * AttentionBlockFloats(head_dim);
}

KvBlocks KvLayer::Blocks(int64_t kv_head, int64_t first_block, int64_t keys, float* widened) const {
  if (type_ == KvType::kF32) {
    return {reinterpret_cast<const float*>(HeadBlock(first_block, kv_head)),
            kv_heads_ * AttentionBlockFloats(head_dim_)};
  }
  const int64_t floats = AttentionBlockFloats(head_dim_);
  for (int64_t block = 0; block < CeilDiv(keys, kAttentionBlock); ++block) {
    Widen(HeadBlock(first_block + block, kv_head), widened + block * floats);
  }
  return {widened, floats};
}

void KvLayer::Widen(const uint8_t* block, float* out) const {
  const KvWidenVariant& kernel = BestKvWiden();
  const int64_t elements = AttentionBlockFloats(head_dim_);
  if (type_ == KvType::kF16) {
    return kernel.f16(reinterpret_cast<const uint16_t*>(block), elements, out);
  }
  const auto* x = reinterpret_cast<const int8_t*>(block);
  const auto* key_scales = reinterpret_cast<const float*>(block + elements);
  for (int64_t token = 0; token < kAttentionBlock; token += kAttentionPanel) {
    for (int64_t d = 0; d < head_dim_; d += kScaleBlock) {
      const int64_t at = token * head_dim_ + d * kAttentionPanel;
      kernel.int8_by_lane(x + at, key_scales + d / kScaleBlock * kAttentionBlock + token,
                          std::min(kScaleBlock, head_dim_ - d), out + at);
    }
  }
  const float* value_scales = key_scales + ScaleBlocks(head_dim_) * kAttentionBlock;
  for (int64_t d = 0; d < head_dim_; d += kAttentionPanel) {
    const int64_t at = kAttentionBlock * (head_dim_ + d);
    kernel.int8_by_row(x + at, value_scales + d / kScaleBlock * kAttentionBlock, kAttentionBlock,
                       out + at);
  }
}

}  // namespace fastvlm
