// A bound on what all requests together hold in memory.
#ifndef FASTVLM_SERVER_MEMORY_BUDGET_H_
#define FASTVLM_SERVER_MEMORY_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace fastvlm {

class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t bytes) : total_(bytes), left_(bytes) {}
  int64_t total() const { return total_; }
  int64_t used() const { return total_ - left_.load(); }

 private:
  friend class MemoryShare;
  const int64_t total_;
  std::atomic<int64_t> left_;
};

// One request's share of a budget, given back when it is destroyed.
class MemoryShare {
 public:
  explicit MemoryShare(MemoryBudget& budget) : budget_(budget) {}
  ~MemoryShare() { budget_.left_.fetch_add(bytes_); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  // Returns false and takes nothing if less than that is left.
  bool Take(int64_t bytes) {
    if (budget_.left_.fetch_sub(bytes) < bytes) {
      budget_.left_.fetch_add(bytes);
      return false;
    }
    bytes_ += bytes;
    return true;
  }
  // Whether Take could succeed if nobody else had taken anything.
  bool CouldTake(int64_t bytes) const { return bytes <= budget_.total() - bytes_; }
  int64_t bytes() const { return bytes_; }

 private:
  MemoryBudget& budget_;
  int64_t bytes_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_MEMORY_BUDGET_H_
