#include "ops/ffn.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"

namespace fastvlm {
namespace {

// Rows per piece: enough to pay for reading the weights, few enough to keep the hidden rows of the
// wide early stages (384 and 768 columns) in the L2 cache.
constexpr int64_t kPieceRows = 96;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of a thread's piece. In proportion to the rows, so that the pieces of all threads together have
// room for as many rows at once.
size_t PieceBytes(const LinearPair& layers) {
  return (layers.ScratchBytes(kPieceRows) + kAlignment - 1) / kAlignment * kAlignment;
}

std::string_view ProfileName(const PackedLinear& weights) {
  if (!weights.is_quantized()) return weights.is_bf16() ? "encoder FFN bf16" : "encoder FFN f32";
  return weights.format() == LinearFormat::kQ8 ? "encoder FFN q8" : "encoder FFN q4";
}

}  // namespace

size_t FfnScratchBytes(const PackedLinear& fc1, const PackedLinear& fc2, int threads) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  return static_cast<size_t>(threads) * PieceBytes({fc1, Activation::kGelu, fc2});
}

void Ffn(const PackedLinear& fc1, const PackedLinear& fc2, const float* x, int64_t m, float* y,
         const float* scale, const float* residual, void* scratch, ThreadPool& pool) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  if (m <= 0) return;
  const LinearPair layers = {fc1, Activation::kGelu, fc2};
  const int64_t in = fc1.k();
  const int64_t out = fc2.n();
  const Epilogue whole = {.scale = scale, .residual = residual, .residual_stride = out};
  const int64_t threads = pool.threads();
  const ProfileScope scope(pool.profile(), ProfileName(fc1), layers.WorkOf(m));
  if (m <= threads * kPieceRows) {
    // All of it fits into the scratch, and one piece of rows for each thread would be few rows:
    // let the threads share each product instead.
    return layers.Run(x, m, y, whole, scratch, pool);
  }
  const int64_t tile = fc1.tile_m();
  const int64_t pieces = CeilDiv(CeilDiv(m, kPieceRows), threads) * threads;
  const int64_t rows = std::min(kPieceRows, CeilDiv(CeilDiv(m, pieces), tile) * tile);
  pool.ParallelFor(CeilDiv(m, rows), [&](int64_t index, int thread) {
    const int64_t row = index * rows;
    Epilogue piece = whole;
    if (residual != nullptr) piece.residual = residual + row * out;
    layers.RunOneThread(x + row * in, std::min(rows, m - row), y + row * out, piece,
                        static_cast<uint8_t*>(scratch) + thread * PieceBytes(layers));
  });
}

}  // namespace fastvlm
