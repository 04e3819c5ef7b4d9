// From a tile of sums to y, for every vector instruction set: included after the vector header and
// simd/math.h.
#include "kernels/gemm_shared/output.h"

namespace fastvlm::FASTVLM_SIMD {

enum class GeluForm { kExact, kNear };

template <Activation activation, GeluForm gelu>
FASTVLM_INLINE F32 Activate(F32 x) {
  if constexpr (activation == Activation::kGelu) {
    return gelu == GeluForm::kExact ? Gelu(x) : GeluNear(x);
  }
  if constexpr (activation == Activation::kSilu) return Silu(x);
  return x;
}

// A tile of sums and where it goes: rows x vectors from row i and column j of y.
struct TileSums {
  const float* sums;
  int64_t i;
  int64_t j;
  int64_t rows;
  int64_t vectors;
};

// From sums to y for a tile of rows x vectors that lies within y and has both scale and residual or
// neither, as nearly all tiles do. It is unrolled: loops and conditions around each vector would
// take as long as the sums of a shallow product.
template <int rows, int vectors, Activation activation, GeluForm gelu, bool scaled>
FASTVLM_INLINE void FinishWholeTile(const GemmOutput& out, const float* sums, int64_t i,
                                    int64_t j) {
  float* y = out.y + i * out.y_stride + j;
  const float* residual = scaled ? out.residual + i * out.residual_stride + j : nullptr;
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      F32 value = Activate<activation, gelu>(Load(sums + (r * vectors + v) * kLanes));
      if constexpr (scaled) {
        value = Add(Mul(value, Load(out.scale + j + v * kLanes)), Load(residual + v * kLanes));
      }
      Store(y + v * kLanes, value);
    }
    y += out.y_stride;
    if constexpr (scaled) residual += out.residual_stride;
  }
}

// The same for any tile. It is not inlined, because one copy for each instruction set is enough.
template <Activation activation, GeluForm gelu>
__attribute__((noinline)) static void FinishTileAs(const GemmOutput& out, const TileSums& tile) {
  const float* sums = tile.sums;
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* y = out.y + (tile.i + r) * out.y_stride;
    const float* residual =
        out.residual == nullptr ? nullptr : out.residual + (tile.i + r) * out.residual_stride;
    for (int64_t v = 0; v < tile.vectors; ++v, sums += kLanes) {
      const int64_t column = tile.j + v * kLanes;
      const int64_t left = out.columns - column;
      if (left <= 0) continue;
      F32 value = Activate<activation, gelu>(Load(sums));
      if (left >= kLanes) {
        if (out.scale != nullptr) value = Mul(value, Load(out.scale + column));
        if (out.residual != nullptr) value = Add(value, Load(residual + column));
        Store(y + column, value);
      } else {
        if (out.scale != nullptr) value = Mul(value, LoadPartial(out.scale + column, left));
        if (out.residual != nullptr) value = Add(value, LoadPartial(residual + column, left));
        StorePartial(y + column, left, value);
      }
    }
  }
}

template <GeluForm gelu>
FASTVLM_INLINE void FinishTile(const GemmOutput& out, const TileSums& tile) {
  switch (out.activation) {
    case Activation::kNone:
      return FinishTileAs<Activation::kNone, gelu>(out, tile);
    case Activation::kGelu:
      return FinishTileAs<Activation::kGelu, gelu>(out, tile);
    case Activation::kSilu:
      return FinishTileAs<Activation::kSilu, gelu>(out, tile);
  }
}

// The same where the shape of the tile is known.
template <int rows, int vectors, GeluForm gelu>
FASTVLM_INLINE void FinishTileOf(const GemmOutput& out, const float* sums, int64_t i, int64_t j) {
  const bool scaled = out.scale != nullptr;
  if (j + vectors * kLanes > out.columns || scaled != (out.residual != nullptr)) {
    return FinishTile<gelu>(out, {sums, i, j, rows, vectors});
  }
  if (out.activation == Activation::kNone) {
    return scaled ? FinishWholeTile<rows, vectors, Activation::kNone, gelu, true>(out, sums, i, j)
                  : FinishWholeTile<rows, vectors, Activation::kNone, gelu, false>(out, sums, i, j);
  }
  if (out.activation == Activation::kGelu && !scaled) {
    return FinishWholeTile<rows, vectors, Activation::kGelu, gelu, false>(out, sums, i, j);
  }
  FinishTile<gelu>(out, {sums, i, j, rows, vectors});
}

}  // namespace fastvlm::FASTVLM_SIMD
