#include "ops/linear.h"

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "base/check.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "ops/chunks.h"

namespace fastvlm {
namespace {

// A block of y is computed in pieces of the depth such that a panel's piece stays in the L1 cache
// while the block's rows pass over it and the block's piece of x stays in L2. The sums between two
// pieces are kept on the stack, and so is an unpacked piece: 60 KB together.
constexpr int64_t kBlockRows = 144;
constexpr int64_t kBlockColumns = 64;
constexpr int64_t kPanelBytes = 24 * 1024;
constexpr int64_t kQuantizedPanelBytes = 32 * 1024;
constexpr int64_t kF16PanelBytes = 96 * 1024;  // of two panels side by side
// x of a block up to this size is at home in an L2 cache of 512 KB.
constexpr int64_t kCachedBytes = 256 * 1024;
// How far ahead of its use a weight is fetched when memory sets the pace.
constexpr int64_t kPrefetchBytes = 2048;
// With this many rows it pays to unpack a piece of the weights once instead of once per row tile.
constexpr int64_t kUnpackRows = 24;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

// The part of x W^T that a kernel is called for: output.rows rows from `row` (a multiple of tile_m)
// on, output.columns columns from `column` (a multiple of tile_n) on, units [begin, begin + count)
// of the depth.
struct Piece {
  int64_t row;
  int64_t column;
  int64_t begin;
  int64_t count;
};

// x W^T of floats; a unit of the depth is one value.
struct F32Product {
  const PackedLinear& weights;
  const float* x;
  int64_t x_stride;

  int64_t units() const { return weights.k(); }
  int64_t row_bytes() const { return weights.k() * int64_t{sizeof(float)}; }
  int64_t panel_columns() const { return weights.tile_n(); }
  int64_t max_piece_units() const {
    return kPanelBytes / int64_t{sizeof(float)} / weights.tile_n();
  }

  GemmF32Args Args(const GemmOutput& output, const Piece& piece) const {
    GemmF32Args args;
    static_cast<GemmOutput&>(args) = output;
    args.depth = piece.count;
    args.x = x + piece.row * x_stride + piece.begin;
    args.x_stride = x_stride;
    args.panel_stride = weights.k() * weights.tile_n();
    return args;
  }

  void Stream(const GemmOutput& output, const Piece& piece) const {
    GemmF32Args args = Args(output, piece);
    const int64_t weight_bytes = weights.is_bf16() ? sizeof(uint16_t) : sizeof(float);
    const int64_t ahead = piece.begin + kPrefetchBytes / weights.tile_n() / weight_bytes;
    Multiply(args, piece, ahead);
  }

  // panel_columns wide at most, while `rows` rows of the block are at hand.
  void MultiplyPanel(const GemmOutput& output, const Piece& piece) const {
    GemmF32Args args = Args(output, piece);
    if (!weights.is_bf16() || output.rows < kUnpackRows) {
      return Multiply(args, piece, piece.begin + piece.count);
    }
    alignas(kAlignment) float wide[kPanelBytes / sizeof(float)];
    weights.variant().widen(weights.bf16(piece.column, piece.begin), piece.count * weights.tile_n(),
                            wide);
    args.weights = wide;
    weights.variant().f32(args);
  }

 private:
  void Multiply(GemmF32Args& args, const Piece& piece, int64_t next) const {
    if (weights.is_bf16()) {
      args.weights = weights.bf16(piece.column, piece.begin);
      args.next = weights.bf16(piece.column, next);
      weights.variant().bf16(args);
    } else {
      args.weights = weights.f32(piece.column, piece.begin);
      args.next = weights.f32(piece.column, next);
      weights.variant().f32(args);
    }
  }
};

// Rows of x rounded to bf16, in scratch memory: [m, 2 * pairs].
struct Bf16Rows {
  uint16_t* x;

  static size_t Bytes(const PackedLinear& weights, int64_t m) {
    return static_cast<size_t>(m * weights.pairs() * 2) * sizeof(uint16_t);
  }
  Bf16Rows(const PackedLinear&, int64_t, void* scratch) : x(static_cast<uint16_t*>(scratch)) {}

  // Rows [first, first + count) of x.
  void Fill(const PackedLinear& weights, const float* from, int64_t stride, int64_t first,
            int64_t count) const {
    for (int64_t i = first; i < first + count; ++i) {
      weights.pairs_variant().round(from + i * stride, weights.k(), x + i * 2 * weights.pairs());
    }
  }
};

// x W^T of bf16; a unit of the depth is a pair of values.
struct Bf16Product {
  const PackedLinear& weights;
  Bf16Rows rows;

  int64_t units() const { return weights.pairs(); }
  int64_t row_bytes() const { return units() * 2 * int64_t{sizeof(uint16_t)}; }
  int64_t panel_columns() const { return weights.tile_n(); }
  int64_t max_piece_units() const {
    return kPanelBytes / (2 * int64_t{sizeof(uint16_t)}) / weights.tile_n();
  }

  void Stream(const GemmOutput& output, const Piece& piece) const {
    Multiply(output, piece,
             piece.begin + kPrefetchBytes / (2 * int64_t{sizeof(uint16_t)}) / weights.tile_n());
  }
  void MultiplyPanel(const GemmOutput& output, const Piece& piece) const {
    Multiply(output, piece, piece.begin + piece.count);
  }

 private:
  void Multiply(const GemmOutput& output, const Piece& piece, int64_t next) const {
    GemmBf16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.pairs = piece.count;
    args.x = rows.x + (piece.row * units() + piece.begin) * 2;
    args.x_stride = units() * 2;
    args.weights = weights.bf16_pairs(piece.column, piece.begin);
    args.panel_stride = weights.pairs_panel_stride();
    args.next = weights.bf16_pairs(piece.column, next);
    weights.pairs_variant().fn(args);
  }
};

// Rows of x rounded to f16, in scratch memory, as kernels/gemm_f16/args.h has them: tiles, the only
// one of few rows without room for others, and then the factors.
struct F16Rows {
  int64_t tile_rows;
  uint32_t* tiles;
  float* factors;

  static int64_t RowSize(const PackedLinear& weights) { return weights.groups() * kF16Group; }
  static int64_t PaddedRows(const PackedLinear& weights, int64_t m) {
    return m < weights.tile_m() ? m : RoundUp(m, weights.tile_m());
  }
  static size_t Bytes(const PackedLinear& weights, int64_t m) {
    return static_cast<size_t>(PaddedRows(weights, m) * RowSize(weights) + m) * sizeof(uint32_t);
  }
  F16Rows(const PackedLinear& weights, int64_t m, void* scratch)
      : tile_rows(std::min(m, weights.tile_m())),
        tiles(static_cast<uint32_t*>(scratch)),
        factors(static_cast<float*>(scratch) + PaddedRows(weights, m) * RowSize(weights)) {}

  // Rows [first, first + count) of x; first: a multiple of tile_m.
  void Fill(const PackedLinear& weights, const float* x, int64_t x_stride, int64_t first,
            int64_t count) const {
    F16RowsArgs args;
    args.rows = count;
    args.depth = weights.k();
    args.x = x + first * x_stride;
    args.x_stride = x_stride;
    args.tiles = tiles + first * RowSize(weights);
    args.tile_stride = tile_rows * RowSize(weights);
    args.tile_rows = tile_rows;
    args.factor = factors + first;
    weights.f16_variant().round(args);
  }
};

// x W^T of f16; a unit of the depth is a chunk of groups that has a sum of its own in f32.
struct F16Product {
  const PackedLinear& weights;
  F16Rows rows;

  int64_t units() const { return CeilDiv(weights.groups(), kF16GroupsPerChunk); }
  int64_t row_bytes() const { return F16Rows::RowSize(weights) * int64_t{sizeof(uint32_t)}; }
  int64_t panel_columns() const { return 2 * weights.tile_n(); }
  int64_t max_piece_units() const {
    const int64_t chunk_size = kF16GroupsPerChunk * kF16Group * panel_columns();
    return kF16PanelBytes / (chunk_size * int64_t{sizeof(uint16_t)});
  }

  void Stream(const GemmOutput& output, const Piece& piece) const {
    constexpr int64_t kAhead = kPrefetchBytes / int64_t{sizeof(uint16_t)} / kF16Group;
    const int64_t group = piece.begin * kF16GroupsPerChunk + kAhead / weights.tile_n();
    Multiply(output, piece, weights.f16(piece.column, group));
  }
  void MultiplyPanel(const GemmOutput& output, const Piece& piece) const {
    const int64_t end = piece.begin + piece.count;
    Multiply(output, piece,
             end == units() ? weights.f16(piece.column + panel_columns(), 0)
                            : weights.f16(piece.column, end * kF16GroupsPerChunk));
  }

 private:
  void Multiply(const GemmOutput& output, const Piece& piece, const uint16_t* next) const {
    const int64_t group = piece.begin * kF16GroupsPerChunk;
    GemmF16Args args;
    static_cast<GemmOutput&>(args) = output;
    args.groups = std::min(piece.count * kF16GroupsPerChunk, weights.groups() - group);
    args.x_tile_stride = rows.tile_rows * F16Rows::RowSize(weights);
    args.x_tile_rows = rows.tile_rows;
    args.x = rows.tiles + piece.row / rows.tile_rows * args.x_tile_stride +
             group * rows.tile_rows * kF16Group;
    args.x_factor = rows.factors + piece.row;
    args.weights = weights.f16(piece.column, group);
    args.panel_stride = weights.f16_panel_stride();
    args.w_factor = weights.f16_factors(piece.column);
    args.next = next;
    weights.f16_variant().fn(args);
  }
};

// Quantized rows of x in scratch memory, as kernels/quantize_rows/args.h has them.
struct QuantizedRows {
  uint8_t* tiles;

  static int64_t BlockBytes(const PackedLinear& weights) {
    return QuantizedBlockBytes(weights.tile_m(), weights.quantized().x_bytes);
  }
  static int64_t TileBytes(const PackedLinear& weights) {
    return weights.blocks() * BlockBytes(weights);
  }
  static size_t Bytes(const PackedLinear& weights, int64_t m) {
    return static_cast<size_t>(CeilDiv(m, weights.tile_m()) * TileBytes(weights));
  }
  QuantizedRows(const PackedLinear&, int64_t, void* scratch)
      : tiles(static_cast<uint8_t*>(scratch)) {}

  // Rows [first, first + count) of x; first: a multiple of tile_m.
  void Fill(const PackedLinear& weights, const float* x, int64_t x_stride, int64_t first,
            int64_t count) const {
    const GemmQuantizedVariant& product = weights.quantized();
    QuantizeRowsArgs args;
    args.rows = count;
    args.depth = weights.k();
    args.x = x + first * x_stride;
    args.x_stride = x_stride;
    args.tile_rows = weights.tile_m();
    args.tile_stride = TileBytes(weights);
    args.tiles = tiles + first / args.tile_rows * args.tile_stride;
    args.start_factor = -product.offset;
    const QuantizeRowsVariant& variant = BestQuantizeRows();
    if (weights.shares_scales()) return variant.pairs_to_int8(args);
    (product.x_bytes == 1 ? variant.to_int8 : variant.to_int16)(args);
  }
};

// x W^T of quantized values; a unit of the depth is a block of 32, or two that share a scale.
struct QuantizedProduct {
  const PackedLinear& weights;
  QuantizedRows rows;

  int64_t unit_blocks() const { return weights.shares_scales() ? 2 : 1; }
  int64_t units() const { return weights.blocks() / unit_blocks(); }
  int64_t row_bytes() const { return QuantizedRows::TileBytes(weights) / weights.tile_m(); }
  int64_t panel_columns() const { return weights.tile_n(); }
  int64_t max_piece_units() const {
    const GemmQuantizedVariant& variant = weights.quantized();
    if (variant.widen != nullptr) return kPanelBytes / variant.wide_block_bytes;
    return kQuantizedPanelBytes / (unit_blocks() * variant.block_bytes);
  }

  GemmQuantizedArgs Args(const GemmOutput& output, const Piece& piece) const {
    GemmQuantizedArgs args;
    static_cast<GemmOutput&>(args) = output;
    args.blocks = piece.count * unit_blocks();
    args.x = rows.tiles + piece.row / weights.tile_m() * QuantizedRows::TileBytes(weights) +
             piece.begin * unit_blocks() * QuantizedRows::BlockBytes(weights);
    args.x_stride = QuantizedRows::TileBytes(weights);
    args.weights = weights.quantized(piece.column, piece.begin * unit_blocks());
    args.panel_stride = weights.panel_bytes();
    return args;
  }

  void Stream(const GemmOutput& output, const Piece& piece) const {
    GemmQuantizedArgs args = Args(output, piece);
    const int64_t block_bytes = weights.quantized().block_bytes;
    args.next = args.weights + CeilDiv(kPrefetchBytes, block_bytes) * block_bytes;
    Run(args);
  }

  void MultiplyPanel(const GemmOutput& output, const Piece& piece) const {
    GemmQuantizedArgs args = Args(output, piece);
    const GemmQuantizedVariant& variant = weights.quantized();
    if (variant.widen == nullptr || output.rows < kUnpackRows) {
      args.next = args.weights + args.blocks * variant.block_bytes;
      return Run(args);
    }
    alignas(kAlignment) uint8_t wide[kPanelBytes];
    variant.widen(args.weights, piece.count, wide);
    args.weights = wide;
    variant.wide_fn(args);
  }

  void Run(const GemmQuantizedArgs& args) const {
    const GemmQuantizedVariant& variant = weights.quantized();
    (weights.shares_scales() ? variant.pairs_fn : variant.fn)(args);
  }
};

struct Block {
  int64_t row;
  int64_t rows;
  int64_t column;  // a multiple of tile_n
  int64_t columns;
};

// A linear layer at work: all that its blocks have in common.
template <typename Product>
struct Call {
  const Product& product;
  const PackedLinear& weights;
  float* y;
  int64_t y_stride;
  const Epilogue& epilogue;

  GemmOutput Output(const Block& block) const {
    GemmOutput output;
    output.rows = block.rows;
    output.columns = block.columns;
    output.start = weights.bias() + block.column;
    output.y = y + block.row * y_stride + block.column;
    output.y_stride = y_stride;
    output.activation = epilogue.activation;
    if (epilogue.scale != nullptr) output.scale = epilogue.scale + block.column;
    if (epilogue.residual != nullptr) {
      output.residual = epilogue.residual + block.row * epilogue.residual_stride + block.column;
      output.residual_stride = epilogue.residual_stride;
    }
    return output;
  }

  // Few rows: every weight is used once, so there is nothing to keep in a cache, and memory sets
  // the pace: it is asked for weights well ahead.
  void RunStreaming(const Block& block) const {
    product.Stream(Output(block), {block.row, block.column, 0, product.units()});
  }

  void RunBlocked(const Block& block) const {
    alignas(kAlignment) float sums[kBlockRows * kBlockColumns];
    const int64_t width = product.panel_columns(), units = product.units();
    const int64_t step = CeilDiv(units, CeilDiv(units, product.max_piece_units()));
    const GemmOutput output = Output(block);
    const auto run_piece = [&](int64_t j, int64_t begin) {
      const int64_t count = std::min(step, units - begin);
      GemmOutput piece;
      piece.rows = block.rows;
      piece.columns = std::min(width, RoundUp(block.columns - j, weights.tile_n()));
      piece.start = sums + j;
      piece.start_stride = kBlockColumns;
      piece.y = sums + j;
      piece.y_stride = kBlockColumns;
      if (begin == 0) {
        piece.start = output.start + j;
        piece.start_stride = 0;
      }
      if (begin + count == units) {
        piece.columns = std::min(width, block.columns - j);
        piece.y = output.y + j;
        piece.y_stride = output.y_stride;
        piece.activation = output.activation;
        if (output.scale != nullptr) piece.scale = output.scale + j;
        if (output.residual != nullptr) piece.residual = output.residual + j;
        piece.residual_stride = output.residual_stride;
      }
      product.MultiplyPanel(piece, {block.row, block.column + j, begin, count});
    };
    if (block.rows * product.row_bytes() <= kCachedBytes) {
      // All of the block's x stays in L2, so that the weights are read in the order of memory.
      for (int64_t j = 0; j < block.columns; j += width) {
        for (int64_t begin = 0; begin < units; begin += step) run_piece(j, begin);
      }
    } else {
      for (int64_t begin = 0; begin < units; begin += step) {
        for (int64_t j = 0; j < block.columns; j += width) run_piece(j, begin);
      }
    }
  }
};

// Panels of a streaming task: the kernel takes four side by side, or two where that gives the
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

// How y is cut into blocks. The cut has no influence on the results.
class Plan {
 public:
  Plan(const PackedLinear& weights, int64_t m, int threads) : m_(m), n_(weights.n()) {
    streaming_ = m <= weights.tile_m();
    if (streaming_) {
      rows_ = m;
      columns_ = weights.tile_n() * StreamingPanels(CeilDiv(n_, weights.tile_n()), threads);
    } else {
      columns_ = kBlockColumns;
      int64_t row_blocks = CeilDiv(m, kBlockRows);
      // Enough blocks that the threads finish together, if that leaves each enough rows.
      while (row_blocks * CeilDiv(n_, columns_) < int64_t{4} * threads &&
             m >= 2 * kUnpackRows * row_blocks) {
        row_blocks *= 2;
      }
      rows_ = RoundUp(CeilDiv(m, row_blocks), weights.tile_m());
    }
    row_blocks_ = CeilDiv(m, rows_);
    column_blocks_ = CeilDiv(n_, columns_);
    // Neighbouring tasks share the operand that is costlier to fetch again.
    by_columns_ = n_ > m;
  }

  int64_t blocks() const { return row_blocks_ * column_blocks_; }

  template <typename Product>
  void Run(const Call<Product>& call, int64_t index) const {
    const int64_t row = (by_columns_ ? index % row_blocks_ : index / column_blocks_) * rows_;
    const int64_t column = (by_columns_ ? index / row_blocks_ : index % column_blocks_) * columns_;
    const Block block = {row, std::min(rows_, m_ - row), column, std::min(columns_, n_ - column)};
    if (streaming_) {
      call.RunStreaming(block);
    } else {
      call.RunBlocked(block);
    }
  }

 private:
  int64_t m_;
  int64_t n_;
  bool streaming_;
  bool by_columns_;
  int64_t rows_;
  int64_t columns_;
  int64_t row_blocks_;
  int64_t column_blocks_;
};

std::string_view ProfileName(const PackedLinear& weights, bool one_row) {
  switch (weights.format()) {
    case LinearFormat::kExact:
    case LinearFormat::kBf16:
    case LinearFormat::kBf16Weights:
      if (weights.has_f16_products()) return one_row ? "linear f16, 1 row" : "linear f16";
      if (weights.is_bf16()) return one_row ? "linear bf16, 1 row" : "linear bf16";
      return one_row ? "linear f32, 1 row" : "linear f32";
    case LinearFormat::kQ8:
    case LinearFormat::kQ8Pairs:
      return one_row ? "linear q8, 1 row" : "linear q8";
    case LinearFormat::kQ4:
      return one_row ? "linear q4, 1 row" : "linear q4";
  }
  return "linear";
}

}  // namespace

Work LinearWork(const PackedLinear& weights, int64_t m) {
  const double operations = 2.0 * static_cast<double>(m * weights.n() * weights.k());
  const double maps = 4.0 * static_cast<double>(m * (weights.n() + weights.k()));
  Work work = {.bytes = static_cast<double>(weights.bytes()) + maps};
  double& kind = weights.is_quantized()        ? work.int8_operations
                 : weights.has_bf16_products() ? work.bf16_operations
                 : weights.has_f16_products()  ? work.f16_operations
                                               : work.f32_operations;
  kind = operations;
  return work;
}

size_t LinearScratchBytes(const PackedLinear& weights, int64_t m) {
  if (weights.has_bf16_products()) return Bf16Rows::Bytes(weights, m);
  if (weights.has_f16_products()) return F16Rows::Bytes(weights, m);
  return weights.is_quantized() ? QuantizedRows::Bytes(weights, m) : 0;
}

namespace {

// Who does the tasks: the threads of a pool, or the calling thread alone.
struct Workers {
  ThreadPool* pool = nullptr;

  int count() const { return pool != nullptr ? pool->threads() : 1; }
};

template <typename Product>
void Multiply(const Product& product, int64_t m, float* y, int64_t y_stride,
              const Epilogue& epilogue, Workers workers) {
  const Plan plan(product.weights, m, workers.count());
  const Call<Product> call{product, product.weights, y, y_stride, epilogue};
  const auto run = [&](int64_t index, int) { plan.Run(call, index); };
  if (workers.pool != nullptr) return workers.pool->ParallelFor(plan.blocks(), run);
  for (int64_t index = 0; index < plan.blocks(); ++index) run(index, 0);
}

// Rows of x as the product of the weights takes them.
template <typename Rows>
Rows FillRows(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
              void* scratch, Workers workers) {
  const Rows rows(weights, m, scratch);
  const int64_t tile = weights.tile_m();
  const auto fill = [&](int64_t first, int64_t count) {
    rows.Fill(weights, x, x_stride, first * tile, std::min(count * tile, m - first * tile));
  };
  if (workers.pool != nullptr) {
    ForChunks(CeilDiv(m, tile), weights.k() * tile, *workers.pool, fill);
  } else {
    fill(0, CeilDiv(m, tile));
  }
  return rows;
}

void RunLinear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
               int64_t y_stride, const Epilogue& epilogue, void* scratch, Workers workers) {
  if (weights.is_quantized()) {
    const auto rows = FillRows<QuantizedRows>(weights, x, m, x_stride, scratch, workers);
    Multiply(QuantizedProduct{weights, rows}, m, y, y_stride, epilogue, workers);
  } else if (weights.has_bf16_products()) {
    const auto rows = FillRows<Bf16Rows>(weights, x, m, x_stride, scratch, workers);
    Multiply(Bf16Product{weights, rows}, m, y, y_stride, epilogue, workers);
  } else if (weights.has_f16_products()) {
    const auto rows = FillRows<F16Rows>(weights, x, m, x_stride, scratch, workers);
    Multiply(F16Product{weights, rows}, m, y, y_stride, epilogue, workers);
  } else {
    Multiply(F32Product{weights, x, x_stride}, m, y, y_stride, epilogue, workers);
  }
}

}  // namespace

void Linear(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride, float* y,
            int64_t y_stride, const Epilogue& epilogue, void* scratch, ThreadPool& pool) {
  if (m <= 0) return;
  const ProfileScope scope(pool.profile(), ProfileName(weights, m == 1), LinearWork(weights, m));
  RunLinear(weights, x, m, x_stride, y, y_stride, epilogue, scratch, {&pool});
}

void LinearOneThread(const PackedLinear& weights, const float* x, int64_t m, int64_t x_stride,
                     float* y, int64_t y_stride, const Epilogue& epilogue, void* scratch) {
  if (m > 0) RunLinear(weights, x, m, x_stride, y, y_stride, epilogue, scratch, {});
}

}  // namespace fastvlm
