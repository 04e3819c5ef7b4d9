// A lock that is handed over in the order in which it was asked for.
#ifndef FASTVLM_BASE_FAIR_MUTEX_H_
#define FASTVLM_BASE_FAIR_MUTEX_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace fastvlm {

// For threads that lock again as soon as they have unlocked: std::mutex would let the same one win
// nearly every time, since those that sleep have to wake up first. Here unlock() gives the lock to
// whoever has waited longest. Used with std::lock_guard and std::unique_lock; not recursive.
class FairMutex {
 public:
  FairMutex() = default;
  FairMutex(const FairMutex&) = delete;
  FairMutex& operator=(const FairMutex&) = delete;

  void lock();
  void unlock();

  // How many threads wait for the lock now.
  int64_t waiting() const;

 private:
  // Lives on the stack of the thread that waits.
  struct Waiter {
    std::condition_variable turn;
    bool has_lock = false;
    Waiter* next = nullptr;
  };

  mutable std::mutex mutex_;  // of everything below; held for a few instructions only
  bool locked_ = false;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  int64_t waiting_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_FAIR_MUTEX_H_
