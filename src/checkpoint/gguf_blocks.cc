#include "checkpoint/gguf_blocks.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "base/quant_block.h"

namespace fastvlm {
namespace {

float LoadF16(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof(half));
  return F32FromF16(half);
}

void DecodeQ80(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

void DecodeQ40(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((block[2 + i] & 0xf) - 8);
    out[i + 16] = d * static_cast<float>((block[2 + i] >> 4) - 8);
  }
}

void DecodeQ41(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  const float m = LoadF16(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(block[4 + i] & 0xf) + m;
    out[i + 16] = d * static_cast<float>(block[4 + i] >> 4) + m;
  }
}

// The fifth bits of all 32 values lie together, before the others.
int FiveBits(const uint8_t* high, const uint8_t* low, int i) {
  const int nibble = i < 16 ? low[i] & 0xf : low[i - 16] >> 4;
  return nibble | (high[i / 8] >> (i % 8) & 1) << 4;
}

void DecodeQ50(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  for (int i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(FiveBits(block + 2, block + 6, i) - 16);
  }
}

void DecodeQ51(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  const float m = LoadF16(block + 2);
  for (int i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(FiveBits(block + 4, block + 8, i)) + m;
  }
}

// Of the j-th 32 values of a Q4_K or Q5_K block. packed: 12 bytes; the lower 6 bits of the first
// four are the scales 0..3, of the next four the minima 0..3; the last four hold the lower 4 bits
// of the scales and minima 4..7, whose upper bits are on top of the first eight.
struct ScaleAndMin {
  float scale, min;
};
ScaleAndMin UnpackScale(const uint8_t* packed, int j) {
  int scale = packed[j % 4], min = packed[j % 4 + 4];
  if (j < 4) {
    scale &= 63;
    min &= 63;
  } else {
    scale = (packed[j + 4] & 0xf) | (scale >> 6 << 4);
    min = (packed[j + 4] >> 4) | (min >> 6 << 4);
  }
  return {static_cast<float>(scale), static_cast<float>(min)};
}

// high: 32 bytes, bit j of byte i is the fifth bit of value i of the j-th 32; null if there is
// none.
void DecodeQ45K(const uint8_t* block, const uint8_t* high, const uint8_t* low, float* out) {
  const float d = LoadF16(block);
  const float dmin = LoadF16(block + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleAndMin packed = UnpackScale(block + 4, j);
    const float scale = d * packed.scale;
    const float min = dmin * packed.min;
    for (int i = 0; i < 32; ++i) {
      int q = low[j / 2 * 32 + i] >> (j % 2 * 4) & 0xf;
      if (high != nullptr) q |= (high[i] >> j & 1) << 4;
      out[j * 32 + i] = scale * static_cast<float>(q) - min;
    }
  }
}

void DecodeQ6K(const uint8_t* block, float* out) {
  const uint8_t* low = block;           // 128 bytes
  const uint8_t* high = block + 128;    // 64
  const uint8_t* scales = block + 192;  // 16
  const float d = LoadF16(block + 208);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, within = i % 128;
    const int nibble = low[half * 64 + within % 64] >> (within / 64 * 4) & 0xf;
    const int bits = high[half * 32 + within % 32] >> (within / 32 * 2) & 3;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = scale * static_cast<float>((nibble | bits << 4) - 32);
  }
}

void EncodeQ8Row(const float* row, int64_t k, uint8_t* out) {
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, out += kQ8BlockBytes) {
    int8_t q[kQuantBlock];
    const uint16_t scale = QuantizeBlockQ8(row + begin, std::min(kQuantBlock, k - begin), q);
    std::memcpy(out, &scale, 2);
    std::memcpy(out + 2, q, kQuantBlock);
  }
}

void EncodeQ4Row(const float* row, int64_t k, uint8_t* out) {
  for (int64_t begin = 0; begin < k; begin += kQuantBlock, out += kQ4BlockBytes) {
    int8_t q[kQuantBlock];
    const uint16_t scale = QuantizeBlockQ4(row + begin, std::min(kQuantBlock, k - begin), q);
    std::memcpy(out, &scale, 2);
    for (int i = 0; i < 16; ++i) {
      out[2 + i] = static_cast<uint8_t>((q[i] + 8) | (q[i + 16] + 8) << 4);
    }
  }
}

void EncodeHalves(const float* row, int64_t k, uint16_t (*convert)(float), uint8_t* out) {
  for (int64_t i = 0; i < k; ++i) {
    const uint16_t half = convert(row[i]);
    std::memcpy(out + 2 * i, &half, sizeof(half));
  }
}

}  // namespace

void DecodeBlock(Dtype dtype, const uint8_t* block, float* out) {
  switch (dtype) {
    case Dtype::kQ80:
      return DecodeQ80(block, out);
    case Dtype::kQ40:
      return DecodeQ40(block, out);
    case Dtype::kQ41:
      return DecodeQ41(block, out);
    case Dtype::kQ50:
      return DecodeQ50(block, out);
    case Dtype::kQ51:
      return DecodeQ51(block, out);
    case Dtype::kQ4K:
      return DecodeQ45K(block, nullptr, block + 16, out);
    case Dtype::kQ5K:
      return DecodeQ45K(block, block + 16, block + 48, out);
    case Dtype::kQ6K:
      return DecodeQ6K(block, out);
    default:
      FASTVLM_CHECK(false);  // not a block type
  }
}

void EncodeRow(Dtype dtype, const float* row, int64_t k, uint8_t* out) {
  switch (dtype) {
    case Dtype::kF32:
      std::memcpy(out, row, static_cast<size_t>(k) * sizeof(float));
      return;
    case Dtype::kF16:
      return EncodeHalves(row, k, F16FromF32, out);
    case Dtype::kBf16:
      return EncodeHalves(row, k, Bf16FromF32, out);
    case Dtype::kQ80:
      return EncodeQ8Row(row, k, out);
    case Dtype::kQ40:
      return EncodeQ4Row(row, k, out);
    default:
      FASTVLM_CHECK(false);  // the header lists what is written
  }
}

}  // namespace fastvlm
