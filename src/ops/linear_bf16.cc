// Linear layers whose products are of bf16: the rows are rounded to bf16 as the weights are.
#include <algorithm>

#include "base/buffer.h"
#include "kernels/gemm_bf16/gemm_bf16.h"
#include "kernels/gemm_bf16/pack.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

// A step of the depth is a pair of values. Converted rows are [m, 2 * pairs] bf16.
class LinearBf16 final : public LinearWeights {
 public:
  LinearBf16(const WeightSource& source, const GemmBf16Variant& variant, ThreadPool& pool)
      : LinearWeights({.products = LinearProducts::kBf16,
                       .is_bf16 = true,
                       .name = "linear bf16",
                       .one_row_name = "linear bf16, 1 row",
                       .ffn_name = "encoder FFN bf16",
                       .n = source.n(),
                       .k = source.k(),
                       .tile_m = variant.tile_m,
                       .tile_n = variant.tile_n,
                       .steps = CeilDiv(source.k(), 2),
                       .max_slice_steps = kPanelBytes / kPairBytes / variant.tile_n,
                       .slice_columns = variant.tile_n,
                       .row_bytes = CeilDiv(source.k(), 2) * kPairBytes}),
        variant_(variant),
        weights_(static_cast<size_t>(panels() * panel_stride())) {
    const auto pack = source.type() == WeightType::kF32   ? PackPairsF32
                      : source.type() == WeightType::kF16 ? PackPairsF16
                                                          : PackPairsBf16;
    pool.ParallelFor(panels(), [&](int64_t panel, int) {
      const int64_t column = panel * variant_.tile_n;
      const int64_t count = std::min(variant_.tile_n, source.n() - column);
      std::vector<float> space;
      pack(source.Rows(column, count, space), count, source.k(), 0, variant_.tile_n,
           weights_.data() + panel * panel_stride());
    });
  }

  size_t bytes() const override { return weights_.size() * sizeof(uint16_t); }

  size_t RowsBytes(int64_t m) const override { return static_cast<size_t>(m * traits().row_bytes); }
  void ConvertRows(const LinearRows& rows, int64_t first, int64_t count) const override {
    auto* out = static_cast<uint16_t*>(rows.scratch);
    for (int64_t i = first; i < first + count; ++i) {
      variant_.round(rows.x + i * rows.x_stride, traits().k, out + i * 2 * traits().steps);
    }
  }

  void Stream(const GemmOutput& output, const LinearRows& rows,
              const LinearSlice& slice) const override {
    Run(output, rows, slice, slice.begin + kPrefetchBytes / kPairBytes / variant_.tile_n);
  }
  void Multiply(const GemmOutput& output, const LinearRows& rows,
                const LinearSlice& slice) const override {
    Run(output, rows, slice, slice.begin + slice.count);
  }

 private:
  static constexpr int64_t kPairBytes = 2 * sizeof(uint16_t);

  int64_t panel_stride() const { return 2 * traits().steps * variant_.tile_n; }
  // The panel of column `column`, a multiple of tile_n, from pair `pair` of the depth on.
  const uint16_t* At(int64_t column, int64_t pair) const {
    return weights_.data() + column * 2 * traits().steps + pair * 2 * variant_.tile_n;
  }

  void Run(const GemmOutput& output, const LinearRows& rows, const LinearSlice& slice,
           int64_t next) const {
    GemmBf16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.pairs = slice.count;
    args.x =
        static_cast<const uint16_t*>(rows.scratch) + (slice.row * traits().steps + slice.begin) * 2;
    args.x_stride = traits().steps * 2;
    args.weights = At(slice.column, slice.begin);
    args.panel_stride = panel_stride();
    args.next = At(slice.column, next);
    variant_.fn(args);
  }

  const GemmBf16Variant& variant_;
  Buffer<uint16_t> weights_;  // [panels][pairs][tile_n][2]
};

}  // namespace

std::unique_ptr<const LinearWeights> MakeLinearBf16(const WeightSource& source, ThreadPool& pool) {
  return std::make_unique<LinearBf16>(source, BestGemmBf16(), pool);
}

}  // namespace fastvlm
