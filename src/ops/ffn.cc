#include "ops/ffn.h"

#include <algorithm>

#include "base/check.h"

namespace fastvlm {
namespace {

// Rows per piece: enough to pay for reading the weights, few enough to keep the hidden rows of the
// wide early stages (384 and 768 columns) in the L2 cache.
constexpr int64_t kPieceRows = 96;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

size_t FfnScratchFloats(const PackedLinear& fc1, const PackedLinear& fc2, int threads) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  return static_cast<size_t>(threads * kPieceRows * fc1.n());
}

void Ffn(const PackedLinear& fc1, const PackedLinear& fc2, const float* x, int64_t m, float* y,
         const float* scale, const float* residual, float* scratch, ThreadPool& pool) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  if (m <= 0) return;
  const int64_t in = fc1.k();
  const int64_t hidden = fc1.n();
  const int64_t out = fc2.n();
  const Epilogue first = {.activation = Activation::kGelu};
  const Epilogue second = {.scale = scale, .residual = residual, .residual_stride = out};
  const int64_t threads = pool.threads();
  if (m <= threads * kPieceRows) {
    // All of it fits into the scratch, and one piece of rows for each thread would be few rows:
    // let the threads share each product instead.
    Linear(fc1, x, m, in, scratch, hidden, first, pool);
    Linear(fc2, scratch, m, hidden, y, out, second, pool);
    return;
  }
  const int64_t tile = fc1.variant().tile_m;
  const int64_t pieces = CeilDiv(CeilDiv(m, kPieceRows), threads) * threads;
  const int64_t rows = std::min(kPieceRows, CeilDiv(CeilDiv(m, pieces), tile) * tile);
  pool.ParallelFor(CeilDiv(m, rows), [&](int64_t piece, int thread) {
    const int64_t row = piece * rows;
    const int64_t count = std::min(rows, m - row);
    float* const map = scratch + thread * kPieceRows * hidden;
    LinearOneThread(fc1, x + row * in, count, in, map, hidden, first);
    Epilogue epilogue = second;
    if (residual != nullptr) epilogue.residual = residual + row * out;
    LinearOneThread(fc2, map, count, hidden, y + row * out, out, epilogue);
  });
}

}  // namespace fastvlm
