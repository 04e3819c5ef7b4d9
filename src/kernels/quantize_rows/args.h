// What the row quantization kernels are called with. Only plain types: this header is compiled
// under every instruction set's flags.
#ifndef FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_
#define FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_

#include <cstdint>

namespace fastvlm {

// In each block of 32 values of a row, the last one filled up with zeros:
//   scale = max |x| / 127,  q = round(x * (127 / max |x|)), half to even,  sum = sum of q
// A block of zeros has scale 0.
struct QuantizeRowsArgs {
  int64_t rows = 0;
  int64_t depth = 0;
  const float* x = nullptr;  // [rows, depth], row i at x + i * x_stride
  int64_t x_stride = 0;
  void* q = nullptr;       // [rows, q_stride] int8_t or int16_t, q_stride = depth rounded up to 32
  float* scale = nullptr;  // [rows, q_stride / 32]
  int32_t* sum = nullptr;  // [rows, q_stride / 32]
};

}  // namespace fastvlm

#endif  // FASTVLM_KERNELS_QUANTIZE_ROWS_ARGS_H_
