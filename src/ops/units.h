// Splits a loop over elements or rows into units for the thread pool.
#ifndef FASTVLM_OPS_UNITS_H_
#define FASTVLM_OPS_UNITS_H_

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace fastvlm {

// Calls body(first, count) for runs of `items` items. Each run is a unit worth about kUnitElements
// elements of work at `elements_per_item`. Where the runs begin depends on the sizes only.
template <typename Body>
void ForUnits(int64_t items, int64_t elements_per_item, ThreadPool& pool, const Body& body) {
  // This is 2 to 8 us of work by the kernels' benchmarks (Zen 3), far more than it costs to hand
  // out a unit.
  constexpr int64_t kUnitElements = 16384;
  const int64_t run = std::max<int64_t>(1, kUnitElements / std::max<int64_t>(1, elements_per_item));
  pool.ParallelFor((items + run - 1) / run, [&](int64_t unit, int) {
    const int64_t first = unit * run;
    body(first, std::min(run, items - first));
  });
}

}  // namespace fastvlm

#endif  // FASTVLM_OPS_UNITS_H_
