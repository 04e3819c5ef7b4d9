// Linear layers whose products are of f16: weights and rows are scaled to fit into f16.
#include <algorithm>

#include "base/buffer.h"
#include "kernels/gemm_f16/gemm_f16.h"
#include "kernels/gemm_f16/pack.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

constexpr int64_t kTwoPanelsBytes = 96 * 1024;  // of a slice: it stays in the L2 cache
constexpr int64_t kStepSize = kF16RunsPerSpan * kF16Run;

int64_t Runs(int64_t k) { return CeilDiv(k, kF16Run); }

// A step of the depth is what has a sum of its own in f32: kF16RunsPerSpan runs. Converted
// rows are tiles as kernels/gemm_f16/args.h has them, and after them the rows' factors. If there
// are fewer rows than a tile takes, the only tile has room for these alone.
class LinearF16 final : public LinearWeights {
 public:
  LinearF16(const WeightSource& source, const GemmF16Variant& variant, ThreadPool& pool)
      : LinearWeights({.products = LinearProducts::kF16,
                       .name = "linear f16",
                       .one_row_name = "linear f16, 1 row",
                       .ffn_name = "encoder FFN f16",
                       .n = source.n(),
                       .k = source.k(),
                       .tile_m = variant.tile_m,
                       .tile_n = variant.tile_n,
                       .steps = CeilDiv(Runs(source.k()), kF16RunsPerSpan),
                       .max_slice_steps = kTwoPanelsBytes / (kStepSize * 2 * variant.tile_n *
                                                             int64_t{sizeof(uint16_t)}),
                       .slice_columns = 2 * variant.tile_n,
                       .row_bytes = Runs(source.k()) * kF16Run * int64_t{sizeof(uint32_t)}}),
        variant_(variant),
        runs_(Runs(source.k())),
        weights_(static_cast<size_t>(panels() * panel_stride())),
        factors_(static_cast<size_t>(panels() * variant.tile_n)) {
    // Each thread keeps one buffer, because the system takes longer to clear new memory than it
    // takes to pack a panel.
    std::vector<Buffer<float>> wide(static_cast<size_t>(pool.threads()));
    pool.ParallelFor(panels(), [&](int64_t panel, int thread) {
      Buffer<float>& rows = wide[static_cast<size_t>(thread)];
      if (rows.empty()) rows = Buffer<float>(static_cast<size_t>(variant_.tile_n * source.k()));
      const int64_t column = panel * variant_.tile_n;
      const int64_t count = std::min(variant_.tile_n, source.n() - column);
      for (int64_t j = 0; j < count; ++j) source.ReadRow(column + j, rows.data() + j * source.k());
      PackF16(rows.data(), count, source.k(), variant_.tile_n,
              weights_.data() + panel * panel_stride(), factors_.data() + column);
    });
  }

  size_t bytes() const override {
    return weights_.size() * sizeof(uint16_t) + factors_.size() * sizeof(float);
  }

  size_t RowsBytes(int64_t m) const override {
    return static_cast<size_t>(PaddedRows(m) * row_size() + m) * sizeof(uint32_t);
  }
  void ConvertRows(const LinearRows& rows, int64_t first, int64_t count) const override {
    F16RowsArgs args;
    args.rows = count;
    args.depth = traits().k;
    args.x = rows.x + first * rows.x_stride;
    args.x_stride = rows.x_stride;
    args.tiles = Tiles(rows) + first * row_size();
    args.tile_rows = TileRows(rows);
    args.tile_stride = args.tile_rows * row_size();
    args.factor = Factors(rows) + first;
    variant_.round(args);
  }

  void Stream(const GemmOutput& output, const LinearRows& rows,
              const LinearSlice& slice) const override {
    constexpr int64_t kAhead = kPrefetchBytes / int64_t{sizeof(uint16_t)} / kF16Run;
    const int64_t run = slice.begin * kF16RunsPerSpan + kAhead / variant_.tile_n;
    Run(output, rows, slice, At(slice.column, run));
  }
  void Multiply(const GemmOutput& output, const LinearRows& rows,
                const LinearSlice& slice) const override {
    const int64_t end = slice.begin + slice.count;
    Run(output, rows, slice,
        end == traits().steps ? At(slice.column + traits().slice_columns, 0)
                              : At(slice.column, end * kF16RunsPerSpan));
  }

 private:
  int64_t row_size() const { return runs_ * kF16Run; }
  int64_t PaddedRows(int64_t m) const {
    return m < variant_.tile_m ? m : RoundUp(m, variant_.tile_m);
  }
  int64_t TileRows(const LinearRows& rows) const { return std::min(rows.m, variant_.tile_m); }
  static uint32_t* Tiles(const LinearRows& rows) { return static_cast<uint32_t*>(rows.scratch); }
  float* Factors(const LinearRows& rows) const {
    return static_cast<float*>(rows.scratch) + PaddedRows(rows.m) * row_size();
  }

  int64_t panel_stride() const { return row_size() * variant_.tile_n; }
  // The panel of column `column`, a multiple of tile_n, from run `run` of the depth on.
  const uint16_t* At(int64_t column, int64_t run) const {
    return weights_.data() + (column * runs_ + run * variant_.tile_n) * kF16Run;
  }

  void Run(const GemmOutput& output, const LinearRows& rows, const LinearSlice& slice,
           const uint16_t* next) const {
    const int64_t run = slice.begin * kF16RunsPerSpan, tile_rows = TileRows(rows);
    GemmF16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.runs = std::min(slice.count * kF16RunsPerSpan, runs_ - run);
    args.x_tile_stride = tile_rows * row_size();
    args.x_tile_rows = tile_rows;
    args.x = Tiles(rows) + slice.row / tile_rows * args.x_tile_stride + run * tile_rows * kF16Run;
    args.x_factor = Factors(rows) + slice.row;
    args.weights = At(slice.column, run);
    args.panel_stride = panel_stride();
    args.w_factor = factors_.data() + slice.column;
    args.next = next;
    variant_.fn(args);
  }

  const GemmF16Variant& variant_;
  int64_t runs_;
  Buffer<uint16_t> weights_;  // [panels][runs][kF16Run][tile_n]
  Buffer<float> factors_;     // [panels * tile_n]
};

}  // namespace

std::unique_ptr<const LinearWeights> MakeLinearF16(const WeightSource& source, ThreadPool& pool) {
  return std::make_unique<LinearF16>(source, BestGemmF16(), pool);
}

}  // namespace fastvlm
