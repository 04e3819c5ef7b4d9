// Linear layers whose products are of f32, over weights that are held as f32 or as BF16.
#include <algorithm>
#include <type_traits>

#include "base/buffer.h"
#include "kernels/gemm_f32/gemm_f32.h"
#include "kernels/gemm_f32/pack.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

void PackPanel(const WeightSource& source, const void* rows, int64_t count, int64_t tile_n,
               float* panel) {
  const auto pack = source.type() == WeightType::kF16 ? PackPanelF16ToF32 : PackPanelF32;
  pack(rows, count, source.k(), 0, tile_n, panel);
}

void PackPanel(const WeightSource& source, const void* rows, int64_t count, int64_t tile_n,
               uint16_t* panel) {
  const auto pack = source.type() == WeightType::kBf16  ? PackPanelBf16
                    : source.type() == WeightType::kF16 ? PackPanelF16ToBf16
                                                        : PackPanelF32ToBf16;
  pack(rows, count, source.k(), 0, tile_n, panel);
}

// Held: float, or uint16_t for BF16. A step of the depth is one value.
template <typename Held>
class LinearF32 final : public LinearWeights {
 public:
  LinearF32(const WeightSource& source, const GemmF32Variant& variant, ThreadPool& pool)
      : LinearWeights({.products = LinearProducts::kF32,
                       .is_bf16 = kIsBf16,
                       .name = kIsBf16 ? "linear bf16" : "linear f32",
                       .one_row_name = kIsBf16 ? "linear bf16, 1 row" : "linear f32, 1 row",
                       .ffn_name = kIsBf16 ? "encoder FFN bf16" : "encoder FFN f32",
                       .n = source.n(),
                       .k = source.k(),
                       .tile_m = variant.tile_m,
                       .tile_n = variant.tile_n,
                       .steps = source.k(),
                       .max_slice_steps = kPanelBytes / int64_t{sizeof(float)} / variant.tile_n,
                       .slice_columns = variant.tile_n,
                       .row_bytes = source.k() * int64_t{sizeof(float)}}),
        variant_(variant),
        weights_(static_cast<size_t>(panels() * panel_stride())) {
    pool.ParallelFor(panels(), [&](int64_t panel, int) {
      const int64_t column = panel * variant_.tile_n;
      const int64_t count = std::min(variant_.tile_n, source.n() - column);
      std::vector<float> space;
      const void* rows = source.Rows(column, count, space);
      PackPanel(source, rows, count, variant_.tile_n, weights_.data() + panel * panel_stride());
    });
  }

  size_t bytes() const override { return weights_.size() * sizeof(Held); }

  void Stream(const GemmOutput& output, const LinearRows& rows,
              const LinearSlice& slice) const override {
    constexpr int64_t kAhead = kPrefetchBytes / int64_t{sizeof(Held)};
    GemmF32Args args = Args(output, rows, slice);
    args.next = At(slice.column, slice.begin + kAhead / variant_.tile_n);
    Run(args);
  }

  void Multiply(const GemmOutput& output, const LinearRows& rows,
                const LinearSlice& slice) const override {
    GemmF32Args args = Args(output, rows, slice);
    if constexpr (kIsBf16) {
      if (output.rows >= kUnpackRows) {
        alignas(kAlignment) float wide[kPanelBytes / sizeof(float)];
        variant_.widen(At(slice.column, slice.begin), slice.count * variant_.tile_n, wide);
        args.weights = wide;
        return variant_.f32(args);
      }
    }
    args.next = At(slice.column, slice.begin + slice.count);
    Run(args);
  }

 private:
  static constexpr bool kIsBf16 = std::is_same_v<Held, uint16_t>;

  int64_t panel_stride() const { return traits().k * variant_.tile_n; }
  // The panel of column `column`, a multiple of tile_n, from depth `depth` on.
  const Held* At(int64_t column, int64_t depth) const {
    return weights_.data() + column * traits().k + depth * variant_.tile_n;
  }

  GemmF32Args Args(const GemmOutput& output, const LinearRows& rows,
                   const LinearSlice& slice) const {
    GemmF32Args args;
    static_cast<GemmOutput&>(args) = output;
    args.depth = slice.count;
    args.x = rows.x + slice.row * rows.x_stride + slice.begin;
    args.x_stride = rows.x_stride;
    args.weights = At(slice.column, slice.begin);
    args.panel_stride = panel_stride();
    return args;
  }
  void Run(const GemmF32Args& args) const { (kIsBf16 ? variant_.bf16 : variant_.f32)(args); }

  const GemmF32Variant& variant_;
  Buffer<Held> weights_;  // [panels][k][tile_n]
};

}  // namespace

std::unique_ptr<const LinearWeights> MakeLinearF32(const WeightSource& source, bool round,
                                                   ThreadPool& pool) {
  const GemmF32Variant& variant = BestGemmF32();
  if (round || source.type() == WeightType::kBf16) {
    return std::make_unique<LinearF32<uint16_t>>(source, variant, pool);
  }
  return std::make_unique<LinearF32<float>>(source, variant, pool);
}

}  // namespace fastvlm
