#include "runtime/clock.h"

#include <atomic>

namespace fastvlm {
namespace {

std::atomic<TimePoint (*)()> clock_for_test = nullptr;

}  // namespace

TimePoint Now() {
  TimePoint (*const clock)() = clock_for_test.load();
  return clock == nullptr ? std::chrono::steady_clock::now() : clock();
}

void SetClockForTest(TimePoint (*clock)()) { clock_for_test = clock; }

}  // namespace fastvlm
