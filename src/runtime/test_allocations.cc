#include "runtime/test_allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "base/buffer.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> buffer_allocations{0};
std::atomic<int64_t> until_failure{0};  // 1: the next one fails; 0 and below: none does
std::atomic<bool> only_buffers{false};

// True if the allocation is the one that has to fail.
bool Count(bool buffer) {
  ++allocations;
  if (buffer) ++buffer_allocations;
  if (only_buffers && !buffer) return false;
  return until_failure.load(std::memory_order_relaxed) > 0 && --until_failure == 0;
}

// Only Buffer asks for more than the usual alignment.
void* Allocate(size_t bytes, size_t alignment) {
  if (Count(alignment == fastvlm::kAlignment)) return nullptr;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* data = Allocate(bytes, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

// Buffer takes what is smaller from operator new, where it is counted.
bool CountLarge(size_t bytes) { return bytes >= size_t{1} << 20 && Count(true); }

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

FailingAllocation::FailingAllocation(int64_t n, Allocations kind) {
  only_buffers = kind == Allocations::kBuffers;
  RefuseAllocationsForTesting(CountLarge);
  until_failure = n;
}
FailingAllocation::~FailingAllocation() {
  until_failure = 0;
  RefuseAllocationsForTesting(nullptr);
}
bool FailingAllocation::happened() const { return until_failure <= 0; }

}  // namespace fastvlm
