// The body for every vector instruction set; an <isa>.cc includes it after its vector header, with
// FASTVLM_GEMM_TILE_M set to the rows of a register tile. A panel is two vectors wide.
#include "kernels/gemm_f32/args.h"
#include "kernels/gemm_shared/output_generic.h"

namespace fastvlm::FASTVLM_SIMD {

constexpr int64_t kTileM = FASTVLM_GEMM_TILE_M;
constexpr int64_t kTileN = 2 * kLanes;

FASTVLM_INLINE F32 LoadWeights(const float* p) { return Load(p); }
FASTVLM_INLINE F32 LoadWeights(const uint16_t* p) { return LoadBf16(p); }

// The sums of rows x panels of y live in registers while the depth runs by. The last tile of a
// panel fetches what comes after it.
template <int rows, int panels, bool last, typename Weight>
FASTVLM_INLINE void Tile(const GemmF32Args& args, int64_t i, int64_t j) {
  constexpr int kVectors = 2 * panels;
  F32 sums[rows][kVectors];
  const float* start = args.start + i * args.start_stride + j;
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = Load(start + r * args.start_stride + v * kLanes);
    }
  }
  const int64_t stride = args.x_stride;
  const int64_t panel_stride = args.panel_stride;
  const float* x = args.x + i * stride;
  const Weight* w = static_cast<const Weight*>(args.weights) + j / kTileN * panel_stride;
  const void* after = args.next != nullptr ? args.next : args.weights;
  const Weight* next = static_cast<const Weight*>(after) + j / kTileN * panel_stride;
  for (int64_t p = 0; p < args.depth; ++p) {
    if constexpr (last) {
      for (int panel = 0; panel < panels; ++panel) Prefetch(next + panel * panel_stride);
      next += kTileN;
    }
    F32 b[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      b[v] = LoadWeights(w + v / 2 * panel_stride + v % 2 * kLanes);
    }
    for (int r = 0; r < rows; ++r) {
      const F32 a = Set(x[r * stride]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = MulAdd(a, b[v], sums[r][v]);
    }
    ++x;
    w += kTileN;
  }
  const bool plain = args.activation == Activation::kNone && args.scale == nullptr &&
                     args.residual == nullptr && j + kVectors * kLanes <= args.columns;
  if (plain) {
    float* y = args.y + i * args.y_stride + j;
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) Store(y + r * args.y_stride + v * kLanes, sums[r][v]);
    }
    return;
  }
  alignas(64) float stored[rows * kVectors * kLanes];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < kVectors; ++v) Store(stored + (r * kVectors + v) * kLanes, sums[r][v]);
  }
  if constexpr (rows == kTileM && panels == 1) {
    FinishTileOf<rows, kVectors, GeluForm::kExact>(args, stored, i, j);
  } else {
    FinishTile<GeluForm::kExact>(args, {stored, i, j, rows, kVectors});
  }
}

// The last rows of a panel, at most kTileM.
template <int rows, typename Weight>
FASTVLM_INLINE void LastTile(const GemmF32Args& args, int64_t i, int64_t j) {
  if constexpr (rows > 0) {
    if (args.rows - i == rows) {
      Tile<rows, 1, true, Weight>(args, i, j);
    } else {
      LastTile<rows - 1, Weight>(args, i, j);
    }
  }
}

// With one or two rows a tile of one panel would wait for its own sums; more panels side by side
// give the CPU independent work.
template <int rows, int panels, typename Weight>
FASTVLM_INLINE int64_t FewRows(const GemmF32Args& args, int64_t j) {
  for (; j + (panels - 1) * kTileN < args.columns; j += panels * kTileN) {
    Tile<rows, panels, true, Weight>(args, 0, j);
  }
  return j;
}

template <typename Weight>
FASTVLM_INLINE void Gemm(const GemmF32Args& args) {
  int64_t j = 0;
  if (args.rows == 1) {
    j = FewRows<1, 4, Weight>(args, j);
    j = FewRows<1, 2, Weight>(args, j);
  }
  if (args.rows == 2) j = FewRows<2, 2, Weight>(args, j);
  // Fewer than four rows would wait as well: the last two tiles share what is left.
  constexpr int64_t kHalf = kTileM / 2 + 1;
  for (; j < args.columns; j += kTileN) {
    int64_t i = 0;
    for (; i + kTileM + 4 <= args.rows; i += kTileM) Tile<kTileM, 1, false, Weight>(args, i, j);
    if (i + kTileM < args.rows) {
      Tile<kHalf, 1, false, Weight>(args, i, j);
      i += kHalf;
    }
    LastTile<kTileM, Weight>(args, i, j);
  }
}

void GemmF32(const GemmF32Args& args) { Gemm<float>(args); }
void GemmF32Bf16(const GemmF32Args& args) { Gemm<uint16_t>(args); }

void GemmF32Widen(const uint16_t* bf16, int64_t size, float* f32) {
  for (int64_t i = 0; i < size; i += kLanes) Store(f32 + i, LoadBf16(bf16 + i));
}

}  // namespace fastvlm::FASTVLM_SIMD
