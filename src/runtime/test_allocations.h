// Counts what the test program allocates, by operator new and by Buffer alike, and can make one
// allocation fail.
#ifndef FASTVLM_RUNTIME_TEST_ALLOCATIONS_H_
#define FASTVLM_RUNTIME_TEST_ALLOCATIONS_H_

#include <cstdint>

namespace fastvlm {

// On all threads, since the program began: all, and those of Buffer alone.
int64_t AllocationCount();
int64_t BufferAllocationCount();
// The bytes of all, whether they were freed since or not.
int64_t AllocatedBytes();

enum class Allocations { kAll, kBuffers };
enum class Failing { kOne, kAllFromThere };

// The n-th allocation of this kind from now on fails, or that and all later ones, on whatever
// thread it is; n >= 1. One at a time.
class FailingAllocation {
 public:
  explicit FailingAllocation(int64_t n, Allocations kind = Allocations::kAll,
                             Failing failing = Failing::kOne);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  bool happened() const;
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_TEST_ALLOCATIONS_H_
