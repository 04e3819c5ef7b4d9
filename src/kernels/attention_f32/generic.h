// The body for every vector instruction set; an <isa>.cc includes it after its vector header and
// after defining kMaxRows, the rows of a register tile, and kMaxAccumulators, its registers.
namespace fastvlm::FASTVLM_SIMD {

constexpr int kVectors = kAttentionPanel / kLanes;  // of one panel
// Floats from one row of a tile's scores to the next.
constexpr int64_t kScoreStride = kAttentionBlock;

// How many panels a tile of `rows` rows takes at a time: enough accumulators to hide the latency of
// the multiply-adds, few enough to stay in registers.
constexpr int PanelsAtOnce(int rows) {
  for (int panels = 4; panels > 1; panels /= 2) {
    if (rows * kVectors * panels <= kMaxAccumulators) return panels;
  }
  return 1;
}

// Tiles of at most so many rows prefetch what lies `ahead` floats further. Decoding has such tiles
// and waits for memory: it gained 2 to 20 % (Zen 3). Tiles of more rows wait for the multiply-adds;
// with prefetching they lost up to 10 % (Emerald Rapids).
constexpr int kPrefetchRows = 8;

// scores[r, j] = sum_d q[r, d] k[j, d] for kRows rows and the keys of kPanels panels.
template <int kRows, int kPanels>
FASTVLM_INLINE void ScorePanels(const float* q, int64_t q_stride, const float* keys,
                                int64_t head_dim, int64_t ahead, float* scores) {
  constexpr int kWidth = kPanels * kVectors;
  F32 acc[kRows][kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) acc[r][v] = Zero();
  }
  const int64_t panel_floats = head_dim * kAttentionPanel;
  for (int64_t d = 0; d < head_dim; ++d) {
    F32 k[kWidth];
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) {
      k[v] = Load(keys + v / kVectors * panel_floats + v % kVectors * kLanes);
    }
#pragma GCC unroll 16
    for (int p = 0; p < kPanels && kRows <= kPrefetchRows; ++p) {
      PrefetchToL2(keys + p * panel_floats + ahead);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const F32 element = Set(q[r]);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) acc[r][v] = MulAdd(element, k[v], acc[r][v]);
    }
    q += q_stride;
    keys += kAttentionPanel;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) Store(scores + r * kScoreStride + v * kLanes, acc[r][v]);
  }
}

// acc[r, :] = acc[r, :] * factor[r] + sum_j scores[r, j] v[j, :] for kPanels panels of values.
template <int kRows, int kPanels>
FASTVLM_INLINE void AddValuePanels(const float* scores, const float* factors, const float* values,
                                   int64_t keys, int64_t ahead, float* out, int64_t out_stride) {
  constexpr int kWidth = kPanels * kVectors;
  constexpr int64_t kPanelFloats = kAttentionBlock * kAttentionPanel;
  F32 acc[kRows][kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const F32 factor = Set(factors[r]);
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v)
      acc[r][v] = Mul(factor, Load(out + r * out_stride + v * kLanes));
  }
  for (int64_t j = 0; j < keys; ++j) {
    F32 value[kWidth];
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) {
      value[v] = Load(values + v / kVectors * kPanelFloats + v % kVectors * kLanes);
    }
#pragma GCC unroll 16
    for (int p = 0; p < kPanels && kRows <= kPrefetchRows; ++p) {
      PrefetchToL2(values + p * kPanelFloats + ahead);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const F32 weight = Set(scores[r * kScoreStride + j]);
#pragma GCC unroll 16
      for (int v = 0; v < kWidth; ++v) acc[r][v] = MulAdd(weight, value[v], acc[r][v]);
    }
    values += kAttentionPanel;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kWidth; ++v) Store(out + r * out_stride + v * kLanes, acc[r][v]);
  }
}

// One tile's view of one key block: the running state of its rows and what they see of the block.
struct TileState {
  int rows;
  const int64_t* visible;  // [rows], counted from first_key, may be <= 0 or beyond the block
  int64_t first_key;
  int64_t columns;  // scores per row that count, a multiple of kAttentionPanel
  float* max;
  float* sum;  // [rows][kLanes]: the sum of a row is that of its lanes
};

// Turns scores into weights exp(score - new maximum), updates max and sum, and gives the factors by
// which older sums shrink.
FASTVLM_INLINE void Weigh(const TileState& tile, float* scores, float* factors) {
  float before[kAttentionPanel] = {};
  float after[kAttentionPanel] = {};
  for (int r = 0; r < tile.rows; ++r) {
    float* row = scores + r * kScoreStride;
    const int64_t seen = tile.visible[r] - tile.first_key;
    for (int64_t j = seen < 0 ? 0 : seen; j < tile.columns; ++j) row[j] = -__builtin_inff();
    F32 max = Set(tile.max[r]);
    for (int64_t j = 0; j < tile.columns; j += kLanes) max = Max(max, Load(row + j));
    before[r] = tile.max[r];
    after[r] = ReduceMax(max);
    tile.max[r] = after[r];
  }
  for (int64_t r = 0; r < tile.rows; r += kLanes) {
    Store(factors + r, ExpOfNegative(Sub(Load(before + r), Load(after + r))));
  }
  for (int r = 0; r < tile.rows; ++r) {
    float* row = scores + r * kScoreStride;
    const F32 max = Set(after[r]);
    F32 sum = Mul(Set(factors[r]), Load(tile.sum + r * kLanes));
    for (int64_t j = 0; j < tile.columns; j += kLanes) {
      const F32 weight = ExpOfNegative(Sub(Load(row + j), max));
      Store(row + j, weight);
      sum = Add(sum, weight);
    }
    Store(tile.sum + r * kLanes, sum);
  }
}

// One tile of kRows rows over one key block, of which it sees the first `keys` keys. The next key
// block is `ahead` floats further; `ahead` is 0 if another tile prefetches it.
template <int kRows>
FASTVLM_INLINE void TileOverBlock(const AttentionF32Args& args, const float* q, const float* block,
                                  int64_t keys, int64_t ahead, TileState tile, float* acc) {
  constexpr int kPanels = PanelsAtOnce(kRows);
  alignas(64) float scores[kRows * kScoreStride];
  alignas(64) float factors[kAttentionPanel];
  const int64_t panels = (keys + kAttentionPanel - 1) / kAttentionPanel;
  const int64_t panel_floats = args.head_dim * kAttentionPanel;
  for (int64_t p = 0; p < panels; p += kPanels) {
    ScorePanels<kRows, kPanels>(q, args.tile_rows, block + p * panel_floats, args.head_dim, ahead,
                                scores + p * kAttentionPanel);
  }
  tile.rows = kRows;
  tile.columns = panels * kAttentionPanel;
  Weigh(tile, scores, factors);

  const float* values = block + kAttentionBlock * args.head_dim;
  const int64_t value_dim = AttentionValueDim(args.head_dim);
  int64_t d = 0;
  for (; d + kPanels * kAttentionPanel <= value_dim; d += kPanels * kAttentionPanel) {
    AddValuePanels<kRows, kPanels>(scores, factors, values + d * kAttentionBlock, keys, ahead,
                                   acc + d, value_dim);
  }
  for (; d < value_dim; d += kAttentionPanel) {
    AddValuePanels<kRows, 1>(scores, factors, values + d * kAttentionBlock, keys, ahead, acc + d,
                             value_dim);
  }
}

using TileFn = void (*)(const AttentionF32Args& args, const float* q, const float* block,
                        int64_t keys, int64_t ahead, const TileState& tile, float* acc);

template <int kRows>
static void RunTile(const AttentionF32Args& args, const float* q, const float* block, int64_t keys,
                    int64_t ahead, const TileState& tile, float* acc) {
  TileOverBlock<kRows>(args, q, block, keys, ahead, tile, acc);
}

// RunTile<rows> for a number known at run time.
template <int kRows>
static TileFn ChooseTile(int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return ChooseTile<kRows - 1>(rows);
  }
  return RunTile<kRows>;
}

void AttentionF32(const AttentionF32Args& args) {
  const int64_t value_dim = AttentionValueDim(args.head_dim);
  alignas(64) float sums[kAttentionRows * kLanes];
  for (int64_t r = 0; r < args.rows; ++r) {
    args.max[r] = -__builtin_inff();
    Store(sums + r * kLanes, Zero());
  }
  for (int64_t i = 0; i < args.rows * value_dim; i += kLanes) Store(args.acc + i, Zero());

  for (int64_t first_key = 0; first_key < args.visible[args.rows - 1];
       first_key += kAttentionBlock) {
    const float* block = args.blocks + first_key / kAttentionBlock * args.block_stride;
    const bool last = first_key + kAttentionBlock >= args.visible[args.rows - 1];
    for (int64_t row = 0; row < args.rows; row += args.tile_rows) {
      const int64_t ahead = row == 0 && !last ? args.block_stride : 0;
      const int64_t rest = args.rows - row;
      const int64_t rows = rest < args.tile_rows ? rest : args.tile_rows;
      int64_t keys = args.visible[row + rows - 1] - first_key;
      if (keys <= 0) continue;
      if (keys > kAttentionBlock) keys = kAttentionBlock;
      const TileState tile = {.rows = static_cast<int>(rows),
                              .visible = args.visible + row,
                              .first_key = first_key,
                              .columns = 0,
                              .max = args.max + row,
                              .sum = sums + row * kLanes};
      ChooseTile<kMaxRows>(rows)(args, args.q + row * args.head_dim, block, keys, ahead, tile,
                                 args.acc + row * value_dim);
    }
  }
  for (int64_t r = 0; r < args.rows; ++r) args.sum[r] = ReduceAdd(Load(sums + r * kLanes));
}

}  // namespace fastvlm::FASTVLM_SIMD
