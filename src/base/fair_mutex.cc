#include "base/fair_mutex.h"

#include <utility>

#include "base/check.h"

namespace fastvlm {

void FairMutex::lock() {
  std::unique_lock guard(mutex_);
  if (!std::exchange(locked_, true)) return;
  Waiter self;
  (first_ == nullptr ? first_ : last_->next) = &self;
  last_ = &self;
  ++waiting_;
  self.turn.wait(guard, [&] { return self.has_lock; });
}

void FairMutex::unlock() {
  const std::lock_guard guard(mutex_);
  FASTVLM_CHECK(locked_);
  if (first_ == nullptr) {
    locked_ = false;
    return;
  }
  Waiter& next = *first_;
  first_ = next.next;
  --waiting_;
  next.has_lock = true;
  next.turn.notify_one();  // under the guard: the waiter's stack frame ends once it has seen this
}

int64_t FairMutex::waiting() const {
  const std::lock_guard guard(mutex_);
  return waiting_;
}

}  // namespace fastvlm
