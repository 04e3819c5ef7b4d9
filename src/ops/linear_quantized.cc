// Linear layers of quantized weights, q8 and q4: the rows are quantized to 8 bits in blocks of 32
// as well.
#include <algorithm>
#include <cstring>

#include "base/buffer.h"
#include "base/quant_block.h"
#include "kernels/gemm_q4/pack.h"
#include "kernels/gemm_q8/pack.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

constexpr int64_t kPackedPanelBytes = 32 * 1024;  // of a slice that is multiplied as it is packed

int64_t Blocks(int64_t k) { return CeilDiv(k, kQuantBlock); }

bool SharesScales(LinearFormat format, int64_t k, const QuantizedKernels& kernels) {
  return format == LinearFormat::kQ8Pairs && k % (2 * kQuantBlock) == 0 &&
         kernels.product.pairs_fn != nullptr && kernels.rows.pairs_to_int8 != nullptr;
}

// Whether weights are unpacked for many rows. Not if scales are shared: wide_fn scales each block
// alone, and a row would have other bits among many rows than it has among few.
bool Unpacks(const QuantizedKernels& kernels, bool shares_scales) {
  return kernels.product.widen != nullptr && !shares_scales;
}

LinearTraits Traits(int64_t n, int64_t k, LinearFormat format, const QuantizedKernels& kernels) {
  const GemmQuantizedVariant& product = kernels.product;
  const bool shares_scales = SharesScales(format, k, kernels), q8 = IsQ8(format);
  const int64_t step_blocks = shares_scales ? 2 : 1;
  return {.products = LinearProducts::kInt8,
          .shares_scales = shares_scales,
          .name = q8 ? "linear q8" : "linear q4",
          .one_row_name = q8 ? "linear q8, 1 row" : "linear q4, 1 row",
          .ffn_name = q8 ? "encoder FFN q8" : "encoder FFN q4",
          .n = n,
          .k = k,
          .tile_m = product.tile_m,
          .tile_n = product.tile_n,
          .steps = Blocks(k) / step_blocks,
          .max_slice_steps = Unpacks(kernels, shares_scales)
                                 ? kPanelBytes / product.wide_block_bytes
                                 : kPackedPanelBytes / (step_blocks * product.block_bytes),
          .slice_columns = product.tile_n,
          .row_bytes = Blocks(k) * QuantizedBlockBytes(1, product.x_bytes)};
}

// A step of the depth is a block, or two that share a scale. Converted rows are tiles as
// kernels/quantize_rows/args.h has them.
class LinearQuantized final : public LinearWeights {
 public:
  LinearQuantized(const WeightSource& source, LinearFormat format, const QuantizedKernels& kernels,
                  ThreadPool& pool)
      : LinearQuantized(source.n(), source.k(), format, kernels) {
    const auto pack = IsQ8(format) ? PackColumnQ8 : PackColumnQ4;
    PackPanels(pool, [&](int64_t first, int64_t count, uint8_t* panel) {
      std::vector<float> row(static_cast<size_t>(source.k()));
      for (int64_t j = 0; j < count; ++j) {
        source.ReadRow(first + j, row.data());
        pack(row.data(), source.k(), j, product_, panel);
      }
    });
  }

  LinearQuantized(const FindRowFn& find_row, int64_t n, int64_t k, LinearFormat format,
                  const QuantizedKernels& kernels, ThreadPool& pool)
      : LinearQuantized(n, k, format, kernels) {
    const auto pack = IsQ8(format) ? PackColumnQ8Blocks : PackColumnQ4Blocks;
    const int64_t stored_bytes = IsQ8(format) ? kQ8BlockBytes : kQ4BlockBytes;
    PackPanels(pool, [&](int64_t first, int64_t count, uint8_t* panel) {
      // So few blocks at a time that this part of the panel stays in the L1 cache while each row is
      // scattered over it.
      constexpr int64_t kAtOnce = 8;
      for (int64_t block = 0; block < blocks_; block += kAtOnce) {
        for (int64_t j = 0; j < count; ++j) {
          pack(find_row(first + j) + block * stored_bytes, std::min(kAtOnce, blocks_ - block), j,
               product_, panel + block * product_.block_bytes);
        }
      }
    });
  }

  size_t bytes() const override { return weights_.size(); }

  size_t RowsBytes(int64_t m) const override {
    return static_cast<size_t>(CeilDiv(m, product_.tile_m) * tile_bytes());
  }
  void ConvertRows(const LinearRows& rows, int64_t first, int64_t count) const override {
    QuantizeRowsArgs args;
    args.rows = count;
    args.depth = traits().k;
    args.x = rows.x + first * rows.x_stride;
    args.x_stride = rows.x_stride;
    args.tile_rows = product_.tile_m;
    args.tile_stride = tile_bytes();
    args.tiles = static_cast<uint8_t*>(rows.scratch) + first / args.tile_rows * tile_bytes();
    args.start_factor = -product_.offset;
    quantize_(args);
  }

  void Stream(const GemmOutput& output, const LinearRows& rows,
              const LinearSlice& slice) const override {
    GemmQuantizedArgs args = Args(output, rows, slice);
    args.next = args.weights + CeilDiv(kPrefetchBytes, product_.block_bytes) * product_.block_bytes;
    multiply_(args);
  }

  void Multiply(const GemmOutput& output, const LinearRows& rows,
                const LinearSlice& slice) const override {
    GemmQuantizedArgs args = Args(output, rows, slice);
    if (!unpacks_ || output.rows < kUnpackRows) {
      args.next = args.weights + args.blocks * product_.block_bytes;
      return multiply_(args);
    }
    alignas(kAlignment) uint8_t wide[kPanelBytes];
    product_.widen(args.weights, args.blocks, wide);
    args.weights = wide;
    product_.wide_fn(args);
  }

 private:
  LinearQuantized(int64_t n, int64_t k, LinearFormat format, const QuantizedKernels& kernels)
      : LinearWeights(Traits(n, k, format, kernels)),
        product_(kernels.product),
        multiply_(traits().shares_scales ? product_.pairs_fn : product_.fn),
        quantize_(traits().shares_scales  ? kernels.rows.pairs_to_int8
                  : product_.x_bytes == 1 ? kernels.rows.to_int8
                                          : kernels.rows.to_int16),
        unpacks_(Unpacks(kernels, traits().shares_scales)),
        blocks_(Blocks(k)),
        weights_(static_cast<size_t>(panels() * panel_bytes())) {}

  // pack(first, count, panel) writes columns [first, first + count) into a panel of zeros.
  template <typename Pack>
  void PackPanels(ThreadPool& pool, const Pack& pack) {
    pool.ParallelFor(panels(), [&](int64_t index, int) {
      uint8_t* panel = weights_.data() + index * panel_bytes();
      std::memset(panel, 0, static_cast<size_t>(panel_bytes()));
      const int64_t first = index * product_.tile_n;
      const int64_t count = std::min(product_.tile_n, traits().n - first);
      pack(first, count, panel);
      if (traits().shares_scales) ShareScalesOfPairs(blocks_, count, product_, panel);
    });
  }

  int64_t panel_bytes() const { return blocks_ * product_.block_bytes; }
  int64_t block_of_rows_bytes() const {
    return QuantizedBlockBytes(product_.tile_m, product_.x_bytes);
  }
  int64_t tile_bytes() const { return blocks_ * block_of_rows_bytes(); }

  GemmQuantizedArgs Args(const GemmOutput& output, const LinearRows& rows,
                         const LinearSlice& slice) const {
    const int64_t step_blocks = traits().shares_scales ? 2 : 1;
    const int64_t block = slice.begin * step_blocks;
    GemmQuantizedArgs args;
    static_cast<GemmOutput&>(args) = output;
    args.blocks = slice.count * step_blocks;
    args.x = static_cast<const uint8_t*>(rows.scratch) +
             slice.row / product_.tile_m * tile_bytes() + block * block_of_rows_bytes();
    args.x_stride = tile_bytes();
    args.weights = weights_.data() + slice.column / product_.tile_n * panel_bytes() +
                   block * product_.block_bytes;
    args.panel_stride = panel_bytes();
    return args;
  }

  const GemmQuantizedVariant& product_;
  void (*multiply_)(const GemmQuantizedArgs& args);
  void (*quantize_)(const QuantizeRowsArgs& args);
  bool unpacks_;
  int64_t blocks_;
  Buffer<uint8_t> weights_;  // [panels][blocks][block_bytes]
};

}  // namespace

std::unique_ptr<const LinearWeights> MakeLinearQuantized(const WeightSource& source,
                                                         LinearFormat format,
                                                         const QuantizedKernels& kernels,
                                                         ThreadPool& pool) {
  return std::make_unique<LinearQuantized>(source, format, kernels, pool);
}

std::unique_ptr<const LinearWeights> MakeLinearQuantized(const FindRowFn& find_row, int64_t n,
                                                         int64_t k, LinearFormat format,
                                                         const QuantizedKernels& kernels,
                                                         ThreadPool& pool) {
  return std::make_unique<LinearQuantized>(find_row, n, k, format, kernels, pool);
}

}  // namespace fastvlm
