#include "checkpoint/mlx_affine.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"

namespace fastvlm {
namespace {

float ReadScale(const uint8_t* data, Dtype dtype, int64_t index) {
  if (dtype == Dtype::kF32) {
    float value;
    std::memcpy(&value, data + index * int64_t{sizeof(value)}, sizeof(value));
    return value;
  }
  uint16_t half;
  std::memcpy(&half, data + index * int64_t{sizeof(half)}, sizeof(half));
  return dtype == Dtype::kF16 ? F32FromF16(half) : F32FromBf16(half);
}

// Values [first, first + count) of one group, which starts at a byte: group is a multiple of 8.
void DequantizeGroup(const uint8_t* group, int bits, int64_t first, int64_t count, float scale,
                     float bias, float* out) {
  if (bits == 8) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = scale * static_cast<float>(group[first + i]) + bias;
    }
    return;
  }
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t bit = (first + i) * bits;
    const int shift = static_cast<int>(bit % 8);
    uint32_t q = group[bit / 8];
    if (shift + bits > 8) q |= uint32_t{group[bit / 8 + 1]} << 8;
    out[i] = scale * static_cast<float>(q >> shift & mask) + bias;
  }
}

}  // namespace

bool FindMlxPacking(int64_t columns, int64_t words, int64_t groups, MlxAffine* affine) {
  FASTVLM_CHECK(columns >= 1);
  if (words < 1 || groups < 1 || words > columns || groups > columns) return false;
  if (columns % groups != 0 || words * 32 % columns != 0) return false;
  const int64_t bits = words * 32 / columns;
  const int64_t group = columns / groups;
  const bool bits_known = (bits >= 2 && bits <= 6) || bits == 8;
  if (!bits_known || (group != 32 && group != 64 && group != 128)) return false;
  affine->bits = static_cast<int>(bits);
  affine->group = group;
  return true;
}

void DequantizeMlx(const uint8_t* packed, const MlxAffine& affine, int64_t first, int64_t count,
                   float* out) {
  const int64_t group_bytes = affine.group * affine.bits / 8;
  for (int64_t done = 0; done < count;) {
    const int64_t group = (first + done) / affine.group;
    const int64_t start = (first + done) % affine.group;
    const int64_t length = std::min(affine.group - start, count - done);
    DequantizeGroup(packed + group * group_bytes, affine.bits, start, length,
                    ReadScale(affine.scales, affine.dtype, group),
                    ReadScale(affine.biases, affine.dtype, group), out + done);
    done += length;
  }
}

}  // namespace fastvlm
