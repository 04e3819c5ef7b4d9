#include "simd/vec_avx512.h"

#include "kernels/quantize_rows/avx512.h"

namespace fastvlm::avx512 {
namespace {

constexpr int64_t kBlock = kQuantizedBlock;

// Blocks [b, b + 1) of `rows` rows of a tile, kUnits rows at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeColumn(const QuantizeRowsArgs& args, const float* x, int64_t rows,
                                   int64_t valid, uint8_t* block) {
  Q* q = reinterpret_cast<Q*>(block);
  float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
  int32_t* start = reinterpret_cast<int32_t*>(scale + args.tile_rows);
  for (int64_t row = 0; row < rows; row += kUnits) {
    const Units<Q> units = {x + row * args.x_stride, args.x_stride, q + row * kBlock, kBlock,
                            scale + row,             start + row,   1};
    const int count = static_cast<int>(rows - row < kUnits ? rows - row : kUnits);
    if (valid >= kBlock) {
      QuantizeUnits<true>(units, count, kBlock, args.start_factor);
    } else {
      QuantizeUnits<false>(units, count, valid, args.start_factor);
    }
  }
}

// The whole blocks of one row, kUnits at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeRow(const QuantizeRowsArgs& args, const float* x, int64_t row,
                                uint8_t* block) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  const int64_t blocks = args.depth / kBlock;
  for (int64_t b = 0; b < blocks; b += kUnits) {
    Q* q = reinterpret_cast<Q*>(block + b * block_bytes);
    float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
    const Units<Q> units = {x + b * kBlock,
                            kBlock,
                            q + row * kBlock,
                            block_bytes / static_cast<int64_t>(sizeof(Q)),
                            scale + row,
                            reinterpret_cast<int32_t*>(scale + args.tile_rows) + row,
                            block_bytes / 4};
    const int count = static_cast<int>(blocks - b < kUnits ? blocks - b : kUnits);
    QuantizeUnits<true>(units, count, kBlock, args.start_factor);
  }
}

template <typename Q>
FASTVLM_INLINE void Quantize(const QuantizeRowsArgs& args) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  for (int64_t first = 0; first < args.rows; first += args.tile_rows) {
    const int64_t rows = args.rows - first < args.tile_rows ? args.rows - first : args.tile_rows;
    const float* x = args.x + first * args.x_stride;
    uint8_t* tile = args.tiles + first / args.tile_rows * args.tile_stride;
    // One row fills the lanes with its own blocks.
    const bool by_row = rows == 1;
    int64_t p = 0;
    if (by_row) {
      for (int64_t row = 0; row < rows; ++row) {
        QuantizeRow<Q>(args, x + row * args.x_stride, row, tile);
      }
      p = args.depth / kBlock * kBlock;
    }
    for (; p < args.depth; p += kBlock) {
      QuantizeColumn<Q>(args, x + p, rows, args.depth - p, tile + p / kBlock * block_bytes);
    }
  }
}

}  // namespace

void QuantizeToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t>(args); }
void QuantizeToInt16(const QuantizeRowsArgs& args) { Quantize<int16_t>(args); }

}  // namespace fastvlm::avx512
