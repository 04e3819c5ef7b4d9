// From a tile of sums to y, for every vector instruction set: included after the vector header and
// simd/math.h.
#include "kernels/gemm_output.h"

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

// Everything after the sums. Not inlined: one copy per instruction set is enough.
template <Activation activation, GeluForm gelu>
__attribute__((noinline)) static void FinishTileAs(const GemmOutput& out, const TileSums& tile) {
  const float* sums = tile.sums;
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* y = out.y + (tile.i + r) * out.y_stride;
    const float* residual = out.residual + (tile.i + r) * out.residual_stride;
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

}  // namespace fastvlm::FASTVLM_SIMD
