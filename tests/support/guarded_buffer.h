// Memory that ends at an unreadable page: one element too many is a crash, not luck.
#ifndef FASTVLM_TESTS_SUPPORT_GUARDED_BUFFER_H_
#define FASTVLM_TESTS_SUPPORT_GUARDED_BUFFER_H_

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace fastvlm {

// The elements of an [a, b] array.
inline size_t Size(int64_t a, int64_t b) { return static_cast<size_t>(a * b); }

// `size` elements, poisoned with 0xfb bytes (a large negative float), the last one just before the
// unreadable page.
template <typename T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t size) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    readable_ = (size * sizeof(T) + page - 1) / page * page;
    mapped_ = readable_ + page;
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FASTVLM_CHECK(base_ != MAP_FAILED);
    FASTVLM_CHECK(mprotect(base_ + readable_, page, PROT_NONE) == 0);
    Poison();
  }
  ~GuardedBuffer() { munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  void Poison() { std::memset(base_, 0xfb, readable_); }
  static bool IsPoison(const T& value) {
    uint8_t bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    for (uint8_t byte : bytes) {
      if (byte != 0xfb) return false;
    }
    return true;
  }

  T* data() { return reinterpret_cast<T*>(base_ + readable_) - size_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data()[i]; }

 private:
  size_t size_;
  size_t readable_ = 0;
  size_t mapped_ = 0;
  uint8_t* base_ = nullptr;
};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_GUARDED_BUFFER_H_
