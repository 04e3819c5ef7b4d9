// The block types of GGML that can be read: values from bytes, and bytes from values for those that
// are written. Source: block_* in ggml-common.h and the Python package gguf, against whose results
// all of them are tested bit for bit (tests/reference/make_gguf_golden.py).
//
//   Q8_0  32 values: scale d, 32 x int8 q                          d q
//   Q4_0  32 values: d, 32 x 4 bits q                              d (q - 8)
//   Q4_1  32 values: d, m, 32 x 4 bits q                           d q + m
//   Q5_0  32 values: d, 32 x 5 bits q                              d (q - 16)
//   Q5_1  32 values: d, m, 32 x 5 bits q                           d q + m
//   Q4_K  256 values: d, dmin, 8 x (6-bit s, m), 4-bit q           (d s) q - (dmin m)
//   Q5_K  256 values: the same, with a fifth bit for each q
//   Q6_K  256 values: 6-bit q, 16 x int8 s, d                      (d s) (q - 32)
// d, m and dmin are f16; each step is rounded to f32.
#ifndef FASTVLM_CHECKPOINT_GGUF_BLOCKS_H_
#define FASTVLM_CHECKPOINT_GGUF_BLOCKS_H_

#include <cstdint>

#include "checkpoint/tensor.h"

namespace fastvlm {

inline constexpr int64_t kSuperBlock = 256;  // values of a block of the K types

// One block. out: [BlockValues(dtype)]. dtype must be a block type.
void DecodeBlock(Dtype dtype, const uint8_t* block, float* out);

// A row of k values as `dtype`, one of F32, F16, BF16, Q8_0 and Q4_0, which is what is written;
// floats are rounded to the nearest. The last block is filled up with zeros. out: the row_bytes()
// of such a row.
void EncodeRow(Dtype dtype, const float* row, int64_t k, uint8_t* out);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_BLOCKS_H_
