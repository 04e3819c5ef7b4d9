#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/quantize_rows/quantize_rows.h"

namespace fastvlm::scalar {
namespace {

constexpr int64_t kBlock = 32;

// The greatest |x|; NaN if there is one, because its bits are above those of infinity.
float MaxMagnitude(const float* x, int64_t count) {
  uint32_t max = 0;
  for (int64_t i = 0; i < count; ++i) {
    max = std::max(max, std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
  }
  return std::bit_cast<float>(max);
}

template <typename Q>
void QuantizeBlock(const float* x, int64_t count, float max, Q* q, float* scale, int32_t* sum) {
  *scale = max / 127.0f;
  *sum = 0;
  std::fill_n(q, kBlock, Q{0});
  if (max == 0 || !std::isfinite(max)) return;
  // Where max is so small that the quotient is infinite, the greatest finite number replaces it.
  const float inverse = std::min(127.0f / max, 3.402823466e38f);
  for (int64_t i = 0; i < count; ++i) {
    q[i] = static_cast<Q>(std::clamp(std::nearbyint(x[i] * inverse), -127.0f, 127.0f));
    *sum += q[i];
  }
}

// shared: how many neighbouring blocks have one scale.
template <typename Q, int64_t shared>
void Quantize(const QuantizeRowsArgs& args) {
  const int64_t blocks = (args.depth + kBlock - 1) / kBlock;
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    uint8_t* block = args.tiles + i / args.tile_rows * args.tile_stride;
    const int64_t row = i % args.tile_rows;
    int32_t* first = nullptr;  // start of the first block with this scale
    for (int64_t b = 0; b < blocks; ++b, block += block_bytes) {
      auto* q = reinterpret_cast<Q*>(block);
      auto* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
      auto* start = reinterpret_cast<int32_t*>(scale + args.tile_rows);
      const int64_t from = b / shared * shared * kBlock;
      const float max = MaxMagnitude(x + from, std::min(shared * kBlock, args.depth - from));
      QuantizeBlock(x + b * kBlock, std::min(kBlock, args.depth - b * kBlock), max,
                    q + row * kBlock, scale + row, start + row);
      start[row] *= args.start_factor;
      if (b == from / kBlock) {
        first = start + row;
      } else {
        *first += start[row];
        start[row] = 0;
      }
    }
  }
}

}  // namespace

void QuantizeToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t, 1>(args); }
void QuantizeToInt16(const QuantizeRowsArgs& args) { Quantize<int16_t, 1>(args); }
void QuantizePairsToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t, 2>(args); }

}  // namespace fastvlm::scalar
