// Aligned, uninitialised, move-only memory for activations, packed weights and caches.
#ifndef FASTVLM_BASE_BUFFER_H_
#define FASTVLM_BASE_BUFFER_H_

#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

namespace fastvlm {

// One cache line, and the widest vector.
inline constexpr size_t kAlignment = 64;

// At least `bytes` bytes aligned to kAlignment; throws OutOfMemory if the system refuses them.
// Pages are not touched before use, so a large buffer costs only what is written to.
void* AllocateAligned(size_t bytes);
void FreeAligned(void* data, size_t bytes);

// From now on AllocateAligned fails where `refuse` says so; null, the default, for never.
using RefuseAllocationFn = bool (*)(size_t bytes);
void RefuseAllocationsForTesting(RefuseAllocationFn refuse);

// `size` elements of a trivial type; contents start undefined. Throws OutOfMemory.
template <typename T>
class Buffer {
  static_assert(std::is_trivial_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t size)
      : data_(size == 0 ? nullptr : static_cast<T*>(AllocateAligned(Bytes(size)))), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) FreeAligned(data_, size_ * sizeof(T));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  // A size that overflows asks for more than any system has, and gets the same error.
  static size_t Bytes(size_t size) {
    const size_t most = std::numeric_limits<size_t>::max();
    return size > most / sizeof(T) ? most : size * sizeof(T);
  }

  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_BUFFER_H_
