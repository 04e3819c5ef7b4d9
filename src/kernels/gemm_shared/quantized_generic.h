// The way over the tiles of y, for every vector instruction set. A kernel's <isa>.cc includes it
// after the vector header and simd/math.h, and hands RunGemm a struct `Tile` with
//   Block:                      the TileBlock that it reads
//   kTileM, kPanels1, kPanels2: rows of a tile, and panels side by side when there are one or two
//   kTileN, kBlockBytes:        columns of a panel, bytes of a block of it
//   kBlocks:                    blocks of the depth that it adds at a time
//   Add<rows, panels>(...):     adds them to the sums of rows x panels
#include "kernels/gemm_shared/output_generic.h"
#include "kernels/gemm_shared/quantized.h"

namespace fastvlm::FASTVLM_SIMD {

// Where a tile reads its block: a block of a tile of x (kernels/quantize_rows/args.h), and panels
// of the weights panel_stride bytes apart.
template <typename Value, int kRows>
struct TileBlock {
  using X = Value;
  static constexpr int64_t kXBytes = kRows * (kQuantBlock * sizeof(X) + 4 + 4);

  const uint8_t* block;
  const uint8_t* weights;
  int64_t panel_stride;

  const X* x(int r) const { return reinterpret_cast<const X*>(block) + r * kQuantBlock; }
  float x_scale(int r) const {
    float scale;
    std::memcpy(&scale, block + kRows * kQuantBlock * sizeof(X) + r * 4, sizeof(scale));
    return scale;
  }
  int32_t x_start(int r) const {
    int32_t start;
    std::memcpy(&start, block + kRows * (kQuantBlock * sizeof(X) + 4) + r * 4, sizeof(start));
    return start;
  }
};

// The sums of rows x panels of y, [rows][panels * kTileN], stay in the L1 cache while the blocks of
// the depth run by. The last tile of a panel fetches what comes after it.
template <typename Tile, int rows, int panels, bool last>
FASTVLM_INLINE void RunTile(const GemmQuantizedArgs& args, int64_t i, int64_t j) {
  constexpr int kVectors = panels * Tile::kTileN / kLanes;
  alignas(64) float sums[rows * kVectors * kLanes];
  const float* start = args.start + i * args.start_stride + j;
  for (int r = 0; r < rows; ++r, start += args.start_stride) {
    for (int v = 0; v < kVectors; ++v) {
      Store(sums + (r * kVectors + v) * kLanes, Load(start + v * kLanes));
    }
  }
  const int64_t panel = j / Tile::kTileN * args.panel_stride;
  using Block = typename Tile::Block;
  Block block = {args.x + i / Tile::kTileM * args.x_stride, args.weights + panel,
                 args.panel_stride};
  const uint8_t* next = (args.next != nullptr ? args.next : args.weights) + panel;
  constexpr int64_t kBytes = Tile::kBlocks * Tile::kBlockBytes;
  for (int64_t b = 0; b < args.blocks; b += Tile::kBlocks) {
    if constexpr (last) {
      for (int p = 0; p < panels; ++p) {
        for (int64_t at = 0; at < kBytes; at += 64) Prefetch(next + p * args.panel_stride + at);
      }
      next += kBytes;
    }
    Tile::template Add<rows, panels>(block, sums);
    block.block += Tile::kBlocks * Block::kXBytes;
    block.weights += kBytes;
  }
  if constexpr (rows == Tile::kTileM && panels == 1) {
    FinishTileOf<rows, kVectors, GeluForm::kNear>(args, sums, i, j);
  } else {
    FinishTile<GeluForm::kNear>(args, {sums, i, j, rows, kVectors});
  }
}

// The last rows of a panel, at most `rows`.
template <typename Tile, int rows>
FASTVLM_INLINE void RunLastTile(const GemmQuantizedArgs& args, int64_t i, int64_t j) {
  if constexpr (rows > 0) {
    if (args.rows - i == rows) {
      RunTile<Tile, rows, 1, true>(args, i, j);
    } else {
      RunLastTile<Tile, rows - 1>(args, i, j);
    }
  }
}

// With one or two rows a tile of one panel would wait for its own sums; more panels side by side
// give the CPU independent work.
template <typename Tile, int rows, int panels>
FASTVLM_INLINE int64_t RunFewRows(const GemmQuantizedArgs& args, int64_t j) {
  for (; j + (panels - 1) * Tile::kTileN < args.columns; j += panels * Tile::kTileN) {
    RunTile<Tile, rows, panels, true>(args, 0, j);
  }
  return j;
}

template <typename Tile>
FASTVLM_INLINE void RunGemm(const GemmQuantizedArgs& args) {
  int64_t j = 0;
  if (args.rows == 1) {
    j = RunFewRows<Tile, 1, Tile::kPanels1>(args, j);
    j = RunFewRows<Tile, 1, 2>(args, j);
  }
  if (args.rows == 2) j = RunFewRows<Tile, 2, Tile::kPanels2>(args, j);
  for (; j < args.columns; j += Tile::kTileN) {
    int64_t i = 0;
    for (; i + Tile::kTileM < args.rows; i += Tile::kTileM) {
      RunTile<Tile, Tile::kTileM, 1, false>(args, i, j);
    }
    RunLastTile<Tile, Tile::kTileM>(args, i, j);
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
