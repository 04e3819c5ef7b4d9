// The row of a table of kernels over quantized weights.
#ifndef FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_VARIANT_H_
#define FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_VARIANT_H_

#include <cstdint>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/gemm_shared/quantized.h"

namespace fastvlm {

struct GemmQuantizedVariant {
  std::string_view name;
  Isa isa;
  int64_t tile_m;       // rows that are computed together: a multiple of it is cheapest
  int64_t tile_n;       // columns of a panel
  int64_t group;        // neighbours along the depth that lie together for one column
  int offset;           // added to every stored weight
  int64_t x_bytes;      // of a value of x: 1 or 2
  int64_t block_bytes;  // of a block of a panel
  void (*fn)(const GemmQuantizedArgs& args);
  // Not null where it pays to unpack a panel once for many rows: widen makes `blocks` blocks of
  // wide_block_bytes each, which wide_fn takes as its weights. Not used where scales are shared.
  int64_t wide_block_bytes;
  void (*widen)(const uint8_t* weights, int64_t blocks, uint8_t* wide);
  void (*wide_fn)(const GemmQuantizedArgs& args);
  // If not null, does what fn does for an even number of blocks where each two neighbours share
  // their scale, of the rows (kernels/quantize_rows/args.h) and of the weights. Their products are
  // scaled together:
  //   sum[i,j] = fma over pairs of (float)(sum_p qx[i,p] qw[p,j]) * (sx[i,pair] * sw[pair,j])
  void (*pairs_fn)(const GemmQuantizedArgs& args) = nullptr;
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_GEMM_SHARED_QUANTIZED_VARIANT_H_
