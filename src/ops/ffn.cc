#include "ops/ffn.h"

#include <algorithm>

#include "base/check.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

// Rows of a unit: enough to pay for reading the weights, and few enough to keep the hidden rows of
// the early stages (384 and 768 columns) in the L2 cache.
constexpr int64_t kFfnUnitRows = 96;

// The hidden map of some rows, and what the products need.
struct UnitScratch {
  float* map;
  void* linear;

  // For one thread. The size is in proportion to the rows, so that the memory of all threads
  // together has room for the rows of all their units at once.
  static size_t Bytes(const PackedLinear& fc1, const PackedLinear& fc2) {
    const size_t map = static_cast<size_t>(kFfnUnitRows * fc1.n()) * sizeof(float);
    const size_t linear =
        std::max(LinearScratchBytes(fc1, kFfnUnitRows), LinearScratchBytes(fc2, kFfnUnitRows));
    return (map + linear + kAlignment - 1) / kAlignment * kAlignment;
  }
  UnitScratch(const PackedLinear& fc1, int64_t rows, void* scratch)
      : map(static_cast<float*>(scratch)), linear(map + rows * fc1.n()) {}
};

}  // namespace

size_t FfnScratchBytes(const PackedLinear& fc1, const PackedLinear& fc2, int threads) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  return static_cast<size_t>(threads) * UnitScratch::Bytes(fc1, fc2);
}

void Ffn(const PackedLinear& fc1, const PackedLinear& fc2, const float* x, int64_t m, float* y,
         const float* scale, const float* residual, void* scratch, ThreadPool& pool) {
  FASTVLM_CHECK(fc1.n() == fc2.k());
  if (m <= 0) return;
  const int64_t in = fc1.k();
  const int64_t hidden = fc1.n();
  const int64_t out = fc2.n();
  const Epilogue first = {.activation = Activation::kGelu};
  const Epilogue second = {.scale = scale, .residual = residual, .residual_stride = out};
  const int64_t threads = pool.threads();
  if (m <= threads * kFfnUnitRows) {
    // All rows fit into the scratch together, and a unit for each thread would have few rows: so
    // the threads share each product instead.
    const UnitScratch all(fc1, m, scratch);
    Linear(fc1, x, m, in, all.map, hidden, first, all.linear, pool);
    Linear(fc2, all.map, m, hidden, y, out, second, all.linear, pool);
    return;
  }
  Work work = LinearWork(fc1, m);
  const Work more = LinearWork(fc2, m);
  work.f32_operations += more.f32_operations;
  work.int8_operations += more.int8_operations;
  work.bf16_operations += more.bf16_operations;
  work.f16_operations += more.f16_operations;
  // The hidden map stays in the caches.
  work.bytes += more.bytes - 8.0 * static_cast<double>(m * hidden);
  const ProfileScope scope(pool.profile(), fc1.weights().traits().ffn_name, work);
  const int64_t tile = fc1.tile_m();
  const int64_t units = CeilDiv(CeilDiv(m, kFfnUnitRows), threads) * threads;
  const int64_t rows = std::min(kFfnUnitRows, CeilDiv(CeilDiv(m, units), tile) * tile);
  pool.ParallelFor(CeilDiv(m, rows), [&](int64_t index, int thread) {
    const int64_t row = index * rows;
    const int64_t count = std::min(rows, m - row);
    const size_t offset = static_cast<size_t>(thread) * UnitScratch::Bytes(fc1, fc2);
    const UnitScratch unit(fc1, count, static_cast<uint8_t*>(scratch) + offset);
    LinearOneThread(fc1, x + row * in, count, in, unit.map, hidden, first, unit.linear);
    Epilogue epilogue = second;
    if (residual != nullptr) epilogue.residual = residual + row * out;
    LinearOneThread(fc2, unit.map, count, hidden, y + row * out, out, epilogue, unit.linear);
  });
}

}  // namespace fastvlm
