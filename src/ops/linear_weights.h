// What a format of weights does for a linear layer. ops/linear.cc cuts a layer into parts and knows
// nothing of formats. For each format a class in linear_<format>.cc holds the weights as its kernel
// reads them, converts x, and calls the kernel.
#ifndef FASTVLM_OPS_LINEAR_WEIGHTS_H_
#define FASTVLM_OPS_LINEAR_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/round.h"
#include "base/thread_pool.h"
#include "kernels/gemm_shared/output.h"
#include "kernels/gemm_shared/quantized_variant.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "ops/packed_linear.h"

namespace fastvlm {

// This much of a panel stays in the L1 cache while many rows pass over it.
inline constexpr int64_t kPanelBytes = 24 * 1024;
// How far ahead of its use a weight is fetched when memory sets the pace.
inline constexpr int64_t kPrefetchBytes = 2048;
// From this many rows on it pays to unpack weights once instead of once for each tile of rows.
inline constexpr int64_t kUnpackRows = 24;

// A [n, k] matrix that is to be packed: it lies in memory, or it is read row by row.
class WeightSource {
 public:
  WeightSource(const void* weight, WeightType type, int64_t n, int64_t k)
      : n_(n), k_(k), weight_(static_cast<const uint8_t*>(weight)), type_(type) {}
  WeightSource(const ReadRowFn& read_row, int64_t n, int64_t k)
      : n_(n), k_(k), read_row_(&read_row) {}

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  WeightType type() const { return type_; }

  // Rows [first, first + count) as [count, k] of type(), at any byte address. Rows that have to be
  // read are written to `space`, which must outlive their use.
  const void* Rows(int64_t first, int64_t count, std::vector<float>& space) const;
  // Row `row` as f32, [k].
  void ReadRow(int64_t row, float* out) const;

 private:
  int64_t n_;
  int64_t k_;
  const uint8_t* weight_ = nullptr;
  WeightType type_ = WeightType::kF32;
  const ReadRowFn* read_row_ = nullptr;
};

// The rows that a layer is applied to: [m, k], row i at x + i * x_stride.
struct LinearRows {
  const float* x;
  int64_t m;
  int64_t x_stride;
  void* scratch;  // RowsBytes(m) bytes
};

// The part of x W^T that a kernel is called for: output.rows rows from `row` (a multiple of tile_m)
// on, output.columns columns from `column` (a multiple of tile_n) on, and `count` steps of the
// depth from `begin` on.
struct LinearSlice {
  int64_t row;
  int64_t column;
  int64_t begin;
  int64_t count;
};

struct LinearTraits {
  LinearProducts products;
  bool is_bf16 = false;
  bool shares_scales = false;
  // What a profile calls the layer: for many rows, for one, and the encoder's feed-forward part.
  std::string_view name, one_row_name, ffn_name;

  int64_t n, k;
  int64_t tile_m, tile_n;  // of the kernel
  // The depth is cut between steps only: a step is one value, or as many neighbours as the kernel
  // takes together.
  int64_t steps;
  int64_t max_slice_steps;  // of a slice whose weights stay in the cache
  int64_t slice_columns;    // of a slice, at most
  int64_t row_bytes;        // of a row of x as the kernel reads it
};

class LinearWeights {
 public:
  explicit LinearWeights(const LinearTraits& traits) : traits_(traits) {}
  virtual ~LinearWeights() = default;
  LinearWeights(const LinearWeights&) = delete;
  LinearWeights& operator=(const LinearWeights&) = delete;

  const LinearTraits& traits() const { return traits_; }

  virtual size_t bytes() const = 0;  // of memory held

  // Bytes of scratch that m rows need once they are converted; 0 if the kernel reads x itself.
  virtual size_t RowsBytes(int64_t /*m*/) const { return 0; }
  // Converts rows [first, first + count) into the scratch; first is a multiple of tile_m.
  virtual void ConvertRows(const LinearRows& /*rows*/, int64_t /*first*/, int64_t /*count*/) const {
  }

  // The whole depth of few rows. Each weight is used once, so memory sets the pace, and weights are
  // asked for well ahead.
  virtual void Stream(const GemmOutput& output, const LinearRows& rows,
                      const LinearSlice& slice) const = 0;
  // A slice of slice_columns columns and max_slice_steps steps at most, for many rows.
  virtual void Multiply(const GemmOutput& output, const LinearRows& rows,
                        const LinearSlice& slice) const = 0;

 protected:
  int64_t panels() const { return CeilDiv(traits_.n, traits_.tile_n); }

 private:
  LinearTraits traits_;
};

// Products of f32; weights are held as BF16 if they come as BF16 or `round` says so, else as f32.
std::unique_ptr<const LinearWeights> MakeLinearF32(const WeightSource& source, bool round,
                                                   ThreadPool& pool);
// Products of bf16.
std::unique_ptr<const LinearWeights> MakeLinearBf16(const WeightSource& source, ThreadPool& pool);
// Products of f16, of weights rounded to BF16.
std::unique_ptr<const LinearWeights> MakeLinearF16(const WeightSource& source, ThreadPool& pool);

// Products of 8-bit integers, by kernels that fit each other; the format is kQ8, kQ8Pairs or kQ4.
struct QuantizedKernels {
  const GemmQuantizedVariant& product;
  const QuantizeRowsVariant& rows;
};
std::unique_ptr<const LinearWeights> MakeLinearQuantized(const WeightSource& source,
                                                         LinearFormat format,
                                                         const QuantizedKernels& kernels,
                                                         ThreadPool& pool);
std::unique_ptr<const LinearWeights> MakeLinearQuantized(const FindRowFn& find_row, int64_t n,
                                                         int64_t k, LinearFormat format,
                                                         const QuantizedKernels& kernels,
                                                         ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_LINEAR_WEIGHTS_H_
