// What the row quantization kernels are called with. Only plain types: this header is compiled
// under every instruction set's flags.
#ifndef FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_
#define FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_

#include <cstdint>

namespace fastvlm {

// In each block of 32 values of a row, the last one filled up with zeros:
//   scale = max |x| / 127,  q = round(x * (127 / max |x|)), half to even
//   start = start_factor * sum of q, with which an integer sum of products of the block begins
// A block of zeros has scale 0.
//
// In pairs, blocks 2 p and 2 p + 1 share the greater of their maxima, and thereby the scale. The
// first one has the start of both, and the start of the second one is 0. depth is then a multiple
// of 64.
//
// Rows lie in tiles of tile_rows, as a product reads them: a tile is ceil(depth / 32) blocks, each
//   [tile_rows][32] q (int8_t or int16_t), [tile_rows] scale (float), [tile_rows] start (int32_t)
// without gaps. The rows that the last tile lacks are not written.
struct QuantizeRowsArgs {
  int64_t rows = 0;
  int64_t depth = 0;
  const float* x = nullptr;  // [rows, depth], row i at x + i * x_stride
  int64_t x_stride = 0;
  int64_t tile_rows = 1;
  uint8_t* tiles = nullptr;  // aligned like floats; tile t at tiles + t * tile_stride bytes
  int64_t tile_stride = 0;   // ceil(depth / 32) * QuantizedBlockBytes
  int32_t start_factor = 1;  // in [-128, 128]
};

// Bytes of a block of a tile; x_bytes: of a value.
constexpr int64_t QuantizedBlockBytes(int64_t tile_rows, int64_t x_bytes) {
  return tile_rows * (32 * x_bytes + 4 + 4);
}

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_
