#include "base/buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <new>

#include "base/out_of_memory.h"

namespace fastvlm {
namespace {

// Above this size memory comes straight from the system in untouched pages and returns to it on
// release, and huge pages are asked for. Caches of 767 MB, of entries below this size too, took 968
// MB with a threshold of 1 MiB: the heap keeps the holes that entries of different sizes leave.
constexpr size_t kMapThreshold = size_t{128} << 10;
constexpr size_t kHugePage = size_t{2} << 20;

std::atomic<RefuseAllocationFn> refuse_for_testing = nullptr;

}  // namespace

void RefuseAllocationsForTesting(RefuseAllocationFn refuse) { refuse_for_testing = refuse; }

void* AllocateAligned(size_t bytes) {
  const RefuseAllocationFn refuse = refuse_for_testing.load(std::memory_order_relaxed);
  if (refuse != nullptr && refuse(bytes)) throw OutOfMemory(bytes);
  if (bytes < kMapThreshold) {
    void* data = ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (data == nullptr) throw OutOfMemory(bytes);
    return data;
  }
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) throw OutOfMemory(bytes);
#ifdef MADV_HUGEPAGE
  if (bytes >= 2 * kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void FreeAligned(void* data, size_t bytes) {
  if (bytes < kMapThreshold) {
    ::operator delete (data, std::align_val_t{kAlignment});
  } else {
    munmap(data, bytes);
  }
}

}  // namespace fastvlm
