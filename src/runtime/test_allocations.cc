#include "runtime/test_allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "base/buffer.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> buffer_allocations{0};
std::atomic<int64_t> allocated_bytes{0};
std::atomic<int64_t> until_failure{0};  // 1: the next one fails; 0 and below: none does
std::atomic<bool> only_buffers{false};
std::atomic<bool> all_from_there{false};

std::atomic<bool> failing_on{false};  // the first one has failed, and all have to

// True if the allocation is the one that has to fail.
bool Count(bool buffer, size_t bytes) {
  ++allocations;
  allocated_bytes += static_cast<int64_t>(bytes);
  if (buffer) ++buffer_allocations;
  if (only_buffers && !buffer) return false;
  if (until_failure.load(std::memory_order_relaxed) <= 0) return failing_on;
  if (--until_failure != 0) return false;
  failing_on = all_from_there.load();
  return true;
}

// Only Buffer asks for more than the usual alignment.
void* Allocate(size_t bytes, size_t alignment) {
  if (Count(alignment == fastvlm::kAlignment, bytes)) return nullptr;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* data = Allocate(bytes, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

// Buffer takes what is smaller from operator new, where it is counted.
bool CountLarge(size_t bytes) { return bytes >= size_t{128} << 10 && Count(true, bytes); }

}  // namespace

// GCC sees through some of these and not through others, and takes them for mismatched.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

void* operator new(size_t bytes) { return AllocateOrThrow(bytes, 16); }
void* operator new[](size_t bytes) { return AllocateOrThrow(bytes, 16); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, 16); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, 16); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return AllocateOrThrow(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }
void operator delete[](void* data, size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { std::free(data); }

namespace fastvlm {

int64_t AllocationCount() { return allocations; }
int64_t BufferAllocationCount() { return buffer_allocations; }
int64_t AllocatedBytes() { return allocated_bytes; }

FailingAllocation::FailingAllocation(int64_t n, Allocations kind, Failing failing) {
  all_from_there = failing == Failing::kAllFromThere;
  only_buffers = kind == Allocations::kBuffers;
  RefuseAllocationsForTesting(CountLarge);
  until_failure = n;
}
FailingAllocation::~FailingAllocation() {
  all_from_there = failing_on = false;
  until_failure = 0;
  RefuseAllocationsForTesting(nullptr);
}
bool FailingAllocation::happened() const { return until_failure <= 0; }

}  // namespace fastvlm
