// The weights of a linear layer in the order and type that a kernel reads.
#ifndef FASTVLM_OPS_PACKED_LINEAR_H_
#define FASTVLM_OPS_PACKED_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/gemm_quantized_variant.h"

namespace fastvlm {

enum class WeightType { kF32, kBf16, kF16 };  // of what is packed

// Writes row `row` of a [n, k] matrix to out, [k]; called by several threads.
using ReadRowFn = std::function<void(int64_t row, float* out)>;
// Where the stored blocks of row `row` begin; called by several threads.
using FindRowFn = std::function<const uint8_t*(int64_t row)>;

enum class LinearFormat {
  kExact,  // BF16 as it is, the others as f32; products are of f32
  // Rounded to BF16. Products are of bf16, x rounded as well, on CPUs that are fast at it; on those
  // with AVX512_FP16 of f16, which holds the weights without loss and more of x; else of f32.
  kBf16,
  kBf16Weights,  // rounded to BF16; products are of f32: what kExact makes of BF16
  kQ8,           // blocks of 32 times 8 bits and a scale; x is quantized to 8 bits as well
  kQ8Pairs,      // kQ8 that shares a scale between two blocks, of x too, if the CPU gains by it
  kQ4,           // blocks of 32 times 4 bits and a scale; x is quantized to 8 bits
};

constexpr bool IsQ8(LinearFormat format) {
  return format == LinearFormat::kQ8 || format == LinearFormat::kQ8Pairs;
}

// Immutable after Pack, shareable between threads. Belongs to the kernel variant that was the best
// one at Pack.
class PackedLinear {
 public:
  PackedLinear() = default;

  // weight: [n, k] row-major at any byte address; bias: [n] or null. n, k >= 1. Copies both.
  // Threads: over panels of W.
  static PackedLinear Pack(const void* weight, WeightType type, int64_t n, int64_t k,
                           const float* bias, LinearFormat format, ThreadPool& pool);

  // The same for a matrix that is read row by row, as weights of WeightType::kF32.
  static PackedLinear Pack(const ReadRowFn& read_row, int64_t n, int64_t k, const float* bias,
                           LinearFormat format, ThreadPool& pool);

  // The same for rows that are blocks of Q8_0 (format kQ8 or kQ8Pairs) or Q4_0 (kQ4) already, as
  // base/quant_block.h has them: what packing the values they were made from gives.
  static PackedLinear PackBlocks(const FindRowFn& find_row, int64_t n, int64_t k, const float* bias,
                                 LinearFormat format, ThreadPool& pool);

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t blocks() const { return (k_ + kQuantBlock - 1) / kQuantBlock; }
  size_t bytes() const;  // of memory held
  LinearFormat format() const { return format_; }
  bool is_quantized() const { return quantized_variant_ != nullptr; }
  bool shares_scales() const { return shares_scales_; }  // each two blocks, of x too
  bool is_bf16() const { return !bf16_.empty(); }
  bool has_bf16_products() const { return pairs_variant_ != nullptr; }
  bool has_f16_products() const { return f16_variant_ != nullptr; }
  int64_t tile_m() const {
    return is_quantized()        ? quantized().tile_m
           : has_bf16_products() ? pairs_variant().tile_m
           : has_f16_products()  ? f16_variant().tile_m
                                 : variant().tile_m;
  }
  int64_t tile_n() const {
    return is_quantized()        ? quantized().tile_n
           : has_bf16_products() ? pairs_variant().tile_n
           : has_f16_products()  ? f16_variant().tile_n
                                 : variant().tile_n;
  }
  const float* bias() const { return bias_.data(); }  // padded to whole panels, zeros if none

  // Of weights in pairs, for products of bf16: the panel of column `column`, a multiple of tile_n,
  // from pair `pair` of the depth on.
  const GemmBf16Variant& pairs_variant() const { return *pairs_variant_; }
  int64_t pairs() const { return (k_ + 1) / 2; }
  int64_t pairs_panel_stride() const { return 2 * pairs() * pairs_variant().tile_n; }
  const uint16_t* bf16_pairs(int64_t column, int64_t pair) const {
    return bf16_.data() + column * 2 * pairs() + pair * 2 * pairs_variant().tile_n;
  }

  // Of weights for products of f16: the panel of column `column`, a multiple of tile_n, from group
  // `group` of the depth on, and the factors of that column and those that follow.
  const GemmF16Variant& f16_variant() const { return *f16_variant_; }
  int64_t groups() const { return (k_ + kF16Group - 1) / kF16Group; }
  int64_t f16_panel_stride() const { return groups() * kF16Group * f16_variant().tile_n; }
  const uint16_t* f16(int64_t column, int64_t group) const {
    return f16_.data() + (column * groups() + group * f16_variant().tile_n) * kF16Group;
  }
  const float* f16_factors(int64_t column) const { return f16_factors_.data() + column; }

  // Of all other weights that are not quantized: the panel of column `column`, a multiple of
  // tile_n, from depth `depth` on.
  const GemmF32Variant& variant() const { return *variant_; }
  const float* f32(int64_t column, int64_t depth) const { return f32_.data() + At(column, depth); }
  const uint16_t* bf16(int64_t column, int64_t depth) const {
    return bf16_.data() + At(column, depth);
  }

  // Of quantized weights, from block `block` of the depth on.
  const GemmQuantizedVariant& quantized() const { return *quantized_variant_; }
  const uint8_t* quantized(int64_t column, int64_t block) const {
    return bytes_.data() + column / quantized().tile_n * panel_bytes() +
           block * quantized().block_bytes;
  }
  int64_t panel_bytes() const { return blocks() * quantized().block_bytes; }

 private:
  int64_t At(int64_t column, int64_t depth) const { return column * k_ + depth * variant_->tile_n; }
  PackedLinear(int64_t n, int64_t k, const float* bias, LinearFormat format);
  void PackFloats(const void* weight, WeightType type, ThreadPool& pool);
  void PackFloats(const ReadRowFn& read_row, ThreadPool& pool);
  void PackPairs(const void* weight, WeightType type, ThreadPool& pool);
  void PackPairs(const ReadRowFn& read_row, ThreadPool& pool);
  void PackPanelsF16(const ReadRowFn& read_row, ThreadPool& pool);
  void PackQuantized(const ReadRowFn& read_row, ThreadPool& pool);
  void PackStored(const FindRowFn& find_row, ThreadPool& pool);
  void FinishPanel(int64_t index);

  int64_t n_ = 0;
  int64_t k_ = 0;
  LinearFormat format_ = LinearFormat::kExact;
  bool shares_scales_ = false;
  const GemmF32Variant* variant_ = nullptr;  // one of the four is not null
  const GemmBf16Variant* pairs_variant_ = nullptr;
  const GemmF16Variant* f16_variant_ = nullptr;
  const GemmQuantizedVariant* quantized_variant_ = nullptr;
  Buffer<float> f32_;  // one of the four holds the weights
  Buffer<uint16_t> bf16_;
  Buffer<uint16_t> f16_;
  Buffer<uint8_t> bytes_;
  Buffer<float> f16_factors_;  // padded to whole panels
  Buffer<float> bias_;
};

}  // namespace fastvlm

#endif  // FASTVLM_OPS_PACKED_LINEAR_H_
