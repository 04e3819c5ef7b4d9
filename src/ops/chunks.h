// Splits a loop over elements or rows into tasks for the thread pool.
#ifndef FASTVLM_OPS_CHUNKS_H_
#define FASTVLM_OPS_CHUNKS_H_

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace fastvlm {

// Calls body(first, count) on the chunks of `items` items, each chunk worth about
// kChunkElements elements of work at `elements_per_item`. The chunks depend on the sizes only.
template <typename Body>
void ForChunks(int64_t items, int64_t elements_per_item, ThreadPool& pool, const Body& body) {
  // 2 to 8 us of work by the kernels' benchmarks (Zen 3), well above what handing out a task costs.
  constexpr int64_t kChunkElements = 16384;
  const int64_t chunk =
      std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, elements_per_item));
  pool.ParallelFor((items + chunk - 1) / chunk, [&](int64_t task, int) {
    const int64_t first = task * chunk;
    body(first, std::min(chunk, items - first));
  });
}

}  // namespace fastvlm

#endif  // FASTVLM_OPS_CHUNKS_H_
