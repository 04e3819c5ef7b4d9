// The weights of a linear layer in the order and type that a kernel reads.
#ifndef FASTVLM_OPS_PACKED_LINEAR_H_
#define FASTVLM_OPS_PACKED_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/buffer.h"
#include "base/thread_pool.h"

namespace fastvlm {

class LinearWeights;
class WeightSource;

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

// The type of the numbers that a layer multiplies, weights and x alike.
enum class LinearProducts { kF32, kBf16, kF16, kInt8 };

// Immutable after Pack, shareable between threads. Belongs to the kernel variant that was the best
// one at Pack. Of an empty one, only bytes() may be called.
class PackedLinear {
 public:
  PackedLinear();
  PackedLinear(PackedLinear&& other) noexcept;
  PackedLinear& operator=(PackedLinear&& other) noexcept;
  ~PackedLinear();

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

  // Of weights that were packed for a kernel of the caller's choice, which is for tests.
  PackedLinear(std::unique_ptr<const LinearWeights> weights, const float* bias);

  int64_t n() const;
  int64_t k() const;
  int64_t tile_m() const;  // rows that are computed together: a multiple of it is cheapest
  size_t bytes() const;    // of memory held
  LinearProducts products() const;
  bool is_bf16() const;        // the weights are held in BF16
  bool shares_scales() const;  // each two blocks have one, of x too

  // What the code of ops/ works with.
  const LinearWeights& weights() const { return *weights_; }
  const float* bias() const { return bias_.data(); }  // padded to whole panels, zeros if none

 private:
  std::unique_ptr<const LinearWeights> weights_;
  Buffer<float> bias_;
};

}  // namespace fastvlm

#endif  // FASTVLM_OPS_PACKED_LINEAR_H_
