// How much work compiling one schema may be, and whether its result is still wanted.
#ifndef FASTVLM_GRAMMAR_STEPS_H_
#define FASTVLM_GRAMMAR_STEPS_H_

#include <cstddef>
#include <functional>
#include <utility>

#include "base/status.h"

namespace fastvlm::grammar {

// Whether nobody waits for the grammar any more. Called often, on the thread that compiles.
using StopFn = std::function<bool()>;

// The most steps of making all automata of one schema, however many patterns, formats and bounds it
// has: about a second.
inline constexpr size_t kMaxSteps = 12'000'000;

class Steps {
 public:
  explicit Steps(StopFn stop = {}, size_t limit = kMaxSteps)
      : stop_(std::move(stop)), limit_(limit) {}

  // Counts steps. False from the step on that is too many, or on which `stop` said so.
  bool Take(size_t count = 1) {
    taken_ += count;
    if (taken_ > limit_ || stopped_) return false;
    if (taken_ < next_look_) return true;
    next_look_ = taken_ + kStepsBetweenLooks;
    stopped_ = stop_ && stop_();
    return !stopped_;
  }

  // Asks `stop` at once.
  bool Look() {
    stopped_ = stopped_ || (stop_ && stop_());
    return !stopped_ && taken_ <= limit_;
  }

  size_t taken() const { return taken_; }

  // Why Take said no: kCancelled, or kInvalidArgument; OK if it did not.
  Status status() const {
    if (stopped_) return Status(StatusCode::kCancelled, "stopped while its schema was read");
    if (taken_ <= limit_) return {};
    return Error(StatusCode::kInvalidArgument,
                 "too complex: its patterns, formats and bounds need more than the limit of {} "
                 "steps together",
                 limit_);
  }

 private:
  static constexpr size_t kStepsBetweenLooks = 10'000;

  StopFn stop_;
  size_t limit_;
  size_t taken_ = 0;
  size_t next_look_ = kStepsBetweenLooks;
  bool stopped_ = false;
};

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_STEPS_H_
