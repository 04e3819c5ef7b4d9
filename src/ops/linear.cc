#include "ops/linear.h"

#include <algorithm>

#include "ops/linear_weights.h"
#include "ops/units.h"

namespace fastvlm {
namespace {

// A unit of y is computed in slices of the depth such that a panel's slice stays in the L1 cache
// while the unit's rows pass over it, and the unit's slice of x stays in L2. The sums between two
// slices are kept on the stack, and so are unpacked weights: 60 KB together.
constexpr int64_t kUnitRows = 144;
constexpr int64_t kUnitColumns = 64;
// x of a unit up to this size is at home in an L2 cache of 512 KB.
constexpr int64_t kCachedBytes = 256 * 1024;

// What one thread computes of y at a time.
struct Unit {
  int64_t row;
  int64_t rows;
  int64_t column;  // a multiple of tile_n
  int64_t columns;
};

// A linear layer at work: all that its units have in common.
struct Call {
  const LinearWeights& weights;
  const float* bias;
  const LinearRows& rows;
  float* y;
  int64_t y_stride;
  const Epilogue& epilogue;

  GemmOutput Output(const Unit& unit) const {
    GemmOutput output;
    output.rows = unit.rows;
    output.columns = unit.columns;
    output.start = bias + unit.column;
    output.y = y + unit.row * y_stride + unit.column;
    output.y_stride = y_stride;
    output.activation = epilogue.activation;
    if (epilogue.scale != nullptr) output.scale = epilogue.scale + unit.column;
    if (epilogue.residual != nullptr) {
      output.residual = epilogue.residual + unit.row * epilogue.residual_stride + unit.column;
      output.residual_stride = epilogue.residual_stride;
    }
    return output;
  }

  void RunStreaming(const Unit& unit) const {
    weights.Stream(Output(unit), rows, {unit.row, unit.column, 0, weights.traits().steps});
  }

  void RunSliced(const Unit& unit) const {
    alignas(kAlignment) float sums[kUnitRows * kUnitColumns];
    const LinearTraits& traits = weights.traits();
    const int64_t width = traits.slice_columns, steps = traits.steps;
    // Slices of one size, as nearly as can be.
    const int64_t slice_steps = CeilDiv(steps, CeilDiv(steps, traits.max_slice_steps));
    const GemmOutput output = Output(unit);
    const auto run_slice = [&](int64_t j, int64_t begin) {
      const int64_t count = std::min(slice_steps, steps - begin);
      GemmOutput slice;
      slice.rows = unit.rows;
      slice.columns = std::min(width, RoundUp(unit.columns - j, traits.tile_n));
      slice.start = sums + j;
      slice.start_stride = kUnitColumns;
      slice.y = sums + j;
      slice.y_stride = kUnitColumns;
      if (begin == 0) {
        slice.start = output.start + j;
        slice.start_stride = 0;
      }
      if (begin + count == steps) {
        slice.columns = std::min(width, unit.columns - j);
        slice.y = output.y + j;
        slice.y_stride = output.y_stride;
        slice.activation = output.activation;
        if (output.scale != nullptr) slice.scale = output.scale + j;
        if (output.residual != nullptr) slice.residual = output.residual + j;
        slice.residual_stride = output.residual_stride;
      }
      weights.Multiply(slice, rows, {unit.row, unit.column + j, begin, count});
    };
    if (unit.rows * traits.row_bytes <= kCachedBytes) {
      // All of the unit's x stays in L2, so that the weights are read in the order of memory.
      for (int64_t j = 0; j < unit.columns; j += width) {
        for (int64_t begin = 0; begin < steps; begin += slice_steps) run_slice(j, begin);
      }
    } else {
      for (int64_t begin = 0; begin < steps; begin += slice_steps) {
        for (int64_t j = 0; j < unit.columns; j += width) run_slice(j, begin);
      }
    }
  }
};

// Panels of a streaming unit: the kernel takes four side by side, or two where that gives the
// threads more equal shares.
int64_t StreamingPanels(int64_t panels, int threads) {
  const auto busiest_thread = [&](int64_t step) {
    return CeilDiv(CeilDiv(panels, step), threads) * step;
  };
  const int64_t most = RoundUp(CeilDiv(panels, int64_t{8} * threads), 4);
  int64_t best = most;
  for (int64_t step = most - 2; step >= 2; step -= 2) {
    if (busiest_thread(step) < busiest_thread(best)) best = step;
  }
  return best;
}

// How y is cut into units. The cut has no influence on the results.
class Plan {
 public:
  Plan(const LinearTraits& traits, int64_t m, int threads) : m_(m), n_(traits.n) {
    streaming_ = m <= traits.tile_m;
    if (streaming_) {
      rows_ = m;
      columns_ = traits.tile_n * StreamingPanels(CeilDiv(n_, traits.tile_n), threads);
    } else {
      columns_ = kUnitColumns;
      int64_t row_units = CeilDiv(m, kUnitRows);
      // Enough units that the threads finish together, if that leaves each enough rows.
      while (row_units * CeilDiv(n_, columns_) < int64_t{4} * threads &&
             m >= 2 * kUnpackRows * row_units) {
        row_units *= 2;
      }
      rows_ = RoundUp(CeilDiv(m, row_units), traits.tile_m);
    }
    row_units_ = CeilDiv(m, rows_);
    column_units_ = CeilDiv(n_, columns_);
    // Threads at work at the same time share the operand that is costlier to fetch again.
    by_columns_ = n_ > m;
  }

  int64_t units() const { return row_units_ * column_units_; }

  void Run(const Call& call, int64_t index) const {
    const int64_t row = (by_columns_ ? index % row_units_ : index / column_units_) * rows_;
    const int64_t column = (by_columns_ ? index / row_units_ : index % column_units_) * columns_;
    const Unit unit = {row, std::min(rows_, m_ - row), column, std::min(columns_, n_ - column)};
    if (streaming_) {
      call.RunStreaming(unit);
    } else {
      call.RunSliced(unit);
    }
  }

 private:
  int64_t m_;
  int64_t n_;
  bool streaming_;
  bool by_columns_;
  int64_t rows_;
  int64_t columns_;
  int64_t row_units_;
  int64_t column_units_;
};

// Who does the work: the threads of a pool, or the calling thread alone.
struct Workers {
  ThreadPool* pool = nullptr;

  int count() const { return pool != nullptr ? pool->threads() : 1; }
};

void ConvertRows(const LinearWeights& weights, const LinearRows& rows, Workers workers) {
  if (weights.RowsBytes(rows.m) == 0) return;
  const int64_t tile = weights.traits().tile_m, tiles = CeilDiv(rows.m, tile);
  const auto convert = [&](int64_t first, int64_t count) {
    weights.ConvertRows(rows, first * tile, std::min(count * tile, rows.m - first * tile));
  };
  if (workers.pool != nullptr) {
    ForUnits(tiles, weights.traits().k * tile, *workers.pool, convert);
  } else {
    convert(0, tiles);
  }
}

void RunLinear(const PackedLinear& packed, const LinearRows& rows, float* y, int64_t y_stride,
               const Epilogue& epilogue, Workers workers) {
  const LinearWeights& weights = packed.weights();
  ConvertRows(weights, rows, workers);
  const Plan plan(weights.traits(), rows.m, workers.count());
  const Call call{weights, packed.bias(), rows, y, y_stride, epilogue};
  const auto run = [&](int64_t index, int) { plan.Run(call, index); };
  if (workers.pool != nullptr) return workers.pool->ParallelFor(plan.units(), run);
  for (int64_t index = 0; index < plan.units(); ++index) run(index, 0);
}

}  // namespace

Work LinearWork(const PackedLinear& weights, int64_t m) {
  const double operations = 2.0 * static_cast<double>(m * weights.n() * weights.k());
  const double maps = 4.0 * static_cast<double>(m * (weights.n() + weights.k()));
  Work work = {.bytes = static_cast<double>(weights.bytes()) + maps};
  switch (weights.products()) {
    case LinearProducts::kF32:
      work.f32_operations = operations;
      break;
    case LinearProducts::kBf16:
      work.bf16_operations = operations;
      break;
    case LinearProducts::kF16:
      work.f16_operations = operations;
      break;
    case LinearProducts::kInt8:
      work.int8_operations = operations;
      break;
  }
  return work;
}

size_t LinearScratchBytes(const PackedLinear& weights, int64_t m) {
  return weights.weights().RowsBytes(m);
}

void Linear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
            int64_t y_stride, const Epilogue& epilogue, void* scratch, ThreadPool& pool) {
  if (m <= 0) return;
  const LinearTraits& traits = weights.weights().traits();
  const ProfileScope scope(pool.profile(), m == 1 ? traits.one_row_name : traits.name,
                           LinearWork(weights, m));
  RunLinear(weights, {x, m, x_stride, scratch}, y, y_stride, epilogue, {&pool});
}

void LinearOneThread(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
                     float* y, int64_t y_stride, const Epilogue& epilogue, void* scratch) {
  if (m > 0) RunLinear(weights, {x, m, x_stride, scratch}, y, y_stride, epilogue, {});
}

}  // namespace fastvlm
