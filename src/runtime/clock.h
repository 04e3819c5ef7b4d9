// The time that deadlines of requests are compared with.
#ifndef FASTVLM_RUNTIME_CLOCK_H_
#define FASTVLM_RUNTIME_CLOCK_H_

#include <chrono>

namespace fastvlm {

using TimePoint = std::chrono::steady_clock::time_point;

// The steady clock, or what a test put in its place.
TimePoint Now();

// Only for tests, while no engine has a request: null brings the steady clock back.
void SetClockForTest(TimePoint (*clock)());

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_CLOCK_H_
