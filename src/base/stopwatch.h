// Measures how long something takes.
#ifndef FASTVLM_BASE_STOPWATCH_H_
#define FASTVLM_BASE_STOPWATCH_H_

#include <chrono>

namespace fastvlm {

class Stopwatch {
 public:
  // Since construction.
  double Milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_STOPWATCH_H_
