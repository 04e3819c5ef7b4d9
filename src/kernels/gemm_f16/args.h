// What the f16 matrix multiplication kernels are called with. Only plain types: this header is
// compiled under every instruction set's flags.
#ifndef FASTVLM_KERNELS_GEMM_F16_ARGS_H_
#define FASTVLM_KERNELS_GEMM_F16_ARGS_H_

#include <cstdint>

#include "kernels/gemm_shared/output.h"

namespace fastvlm {

// A run is as many neighbours along the depth as one f16 sum takes. A span is as many runs as have
// their sums added in f16; the sum of a span is added to one of f32.
inline constexpr int64_t kF16Run = 32;
inline constexpr int64_t kF16RunsPerSpan = 4;

// Rows of x and columns of the weights are scaled so that their largest magnitude has this
// exponent, 8 to 16: the 128 products of a span stay below 2^15, within f16's range.
inline constexpr int kF16RowExponent = 3;
inline constexpr int kF16ColumnExponent = 3;

// sum[i,j] = sum_p x[i,p] w[p,j] over kF16Run * runs values; the output's formula says what
// follows. rows beyond the first tile_m begin at a multiple of tile_m.
struct GemmF16Args : GemmOutput {
  int64_t runs = 0;
  // Tiles of tile_m rows, as F16RowsArgs has them, from the first run that is wanted.
  const uint32_t* x = nullptr;
  int64_t x_tile_stride = 0;        // elements from one tile to the next
  int64_t x_tile_rows = 0;          // rows that a tile has room for
  const float* x_factor = nullptr;  // [rows]
  // Panels of tile_n columns, [kF16Run * runs, tile_n] f16 each and padded with zeros; column j
  // is in panel j / tile_n, which begins panel_stride elements after the one before it.
  const uint16_t* weights = nullptr;
  int64_t panel_stride = 0;
  const float* w_factor = nullptr;  // [columns], readable up to a multiple of tile_n
  // What is likely to be read after the weights, laid out like them: fetched ahead of its use.
  const uint16_t* next = nullptr;
};

// Rows of x to f16: row i is row i % tile_m of tile i / tile_m.
struct F16RowsArgs {
  int64_t rows = 0;
  int64_t depth = 0;
  const float* x = nullptr;  // [rows, depth], row i at x + i * x_stride
  int64_t x_stride = 0;
  // A tile is [runs, tile_rows, kF16Run]; each element holds its f16 twice, so that a broadcast
  // of 32 bits, which needs no shuffle, fills a vector with it. Zeros beyond the depth; rows of a
  // tile that are not there are left as they are.
  uint32_t* tiles = nullptr;
  int64_t tile_stride = 0;
  int64_t tile_rows = 0;
  float* factor = nullptr;  // [rows]: what the f16 values of a row are to be multiplied with
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_F16_ARGS_H_
