#include "kernels/gemm_f16/pack.h"

#include <algorithm>
#include <bit>

#include "kernels/gemm_f16/args.h"

namespace fastvlm {
namespace {

// Without branches, so that compilers turn the loops into vector code for any CPU.
uint32_t Select(bool condition, uint32_t yes, uint32_t no) { return condition ? yes : no; }

int32_t MagnitudeBits(float value) { return std::bit_cast<int32_t>(value) & 0x7fffffff; }

float ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  const uint32_t kept = Select(MagnitudeBits(value) > 0x7f800000, bits | 0x400000u, rounded);
  return std::bit_cast<float>(kept & 0xffff0000u);
}

// To f16, of a scaled weight, which is below 16 or not finite: times 2^-112 an f32 has the exponent
// of an f16, subnormal ones too.
uint32_t Narrow(float value) {
  const uint32_t sign = std::bit_cast<uint32_t>(value) >> 16 & 0x8000u;
  const uint32_t bits = static_cast<uint32_t>(MagnitudeBits(value * 0x1p-112f));
  const uint32_t rounded = (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
  const uint32_t nan = bits > 0x7f800000u ? 0x200u : 0u;
  return sign | Select(MagnitudeBits(value) >= 0x7f800000, 0x7c00u | nan, rounded);
}

// What undoes the scale of a column of the weights.
float ColumnFactor(const float* w, int64_t k) {
  int32_t largest = 0;  // as bits, so that NaN is above infinity
  for (int64_t p = 0; p < k; ++p) largest = std::max(largest, MagnitudeBits(ToBf16(w[p])));
  const int32_t exponent = std::max(largest >> 23, kF16ColumnExponent + 1);
  return std::bit_cast<float>((exponent - kF16ColumnExponent) << 23);
}

}  // namespace

void PackF16(const float* weight, int64_t columns, int64_t k, int64_t tile_n, uint16_t* panel,
             float* factor) {
  for (int64_t j = 0; j < tile_n; ++j) {
    factor[j] = j < columns ? ColumnFactor(weight + j * k, k) : 0.0f;
  }
  // Slices of the depth small enough that the panel's part stays in the L1 cache while each row
  // is scattered over it.
  constexpr int64_t kSlice = 4 * kF16Run;
  const int64_t padded = (k + kF16Run - 1) / kF16Run * kF16Run;
  std::fill_n(panel, padded * tile_n, uint16_t{0});
  for (int64_t begin = 0; begin < k; begin += kSlice) {
    const int64_t depth = std::min(kSlice, k - begin);
    for (int64_t j = 0; j < columns; ++j) {
      const float* w = weight + j * k + begin;
      const float scale = 1 / factor[j];  // a power of two as well
      uint32_t halves[kSlice];
      for (int64_t p = 0; p < depth; ++p) halves[p] = Narrow(ToBf16(w[p]) * scale);
      for (int64_t p = 0; p < depth; ++p) {
        panel[(begin + p) * tile_n + j] = static_cast<uint16_t>(halves[p]);
      }
    }
  }
}

}  // namespace fastvlm
